"""What a quantisation did, and why: for programs, for people."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from passerby.deploy.quantise.graph import Graph
from passerby.deploy.quantise.search import Found, told_loss

WORST = 12  # layers shown to people
PLACES = {"AP50": "1 - IoU", "AUC": "maps"}  # what `sensitivity.Damage.places` is, by what the judge measures


@dataclass(frozen=True)
class Report:
    """An INT8 file and how it came about.

    calibrated  source and number of the pictures that set ranges
    judged      source and number of those that the budget was held on
    budget      points of what the judge measures
    proof       whether no picture did both
    notes       what was odd about the pictures
    before      bytes of the float file
    """

    graph: Graph
    found: Found
    calibrated: tuple[str, int]
    judged: tuple[str, int]
    budget: float
    proof: bool
    notes: tuple[str, ...]
    before: int

    def record(self) -> dict[str, Any]:
        """Everything as plain JSON."""
        found = self.found
        return {
            "precision": "int8",
            "method": found.chosen.method,
            "budget_points": self.budget,
            "measure": found.measure,
            f"{found.measure.lower()}_float": round(found.value, 6),
            f"{found.measure.lower()}_int8": round(found.chosen.value, 6),
            "lost_points": round(found.chosen.lost, 4),
            "proof": self.proof,
            "calibrated_on": f"{self.calibrated[0]}: {self.calibrated[1]} pictures",
            "judged_on": f"{self.judged[0]}: {self.judged[1]} pictures",
            "bytes_float": self.before,
            "bytes_int8": found.chosen.size,
            "kept_in_float": self.kept(),
            "stored_in_four_bits": list(found.chosen.packed),
            "float_share_of_macs": round(found.chosen.share, 4),
            "trials": [asdict(t) for t in found.trials],
            "layers": [
                {
                    "layer": d.layer.name,
                    "macs": d.layer.macs,
                    "scores": round(d.scores, 6),
                    "places": round(d.places, 6),
                }
                for d in found.damages
            ],
            "notes": list(self.notes),
        }

    def card(self) -> dict[str, Any]:
        """The part that travels in the file: all but the layers' table and the trials."""
        return {k: v for k, v in self.record().items() if k not in ("trials", "layers", "notes")}

    def kept(self) -> dict[str, str]:
        """Layer -> why it stays float."""
        ends = {x.name: x.end for x in self.graph.layers}
        ranks = {d.layer.name: k + 1 for k, d in enumerate(self.found.damages)}
        why = {
            "first": "first layer: reads the picture",
            "second": "behind the first layer: depthwise on few channels, slower in INT8",
            "last": "last layer: its numbers are answers",
        }
        return {n: why.get(ends[n], f"damage {ranks[n]} of {len(ranks)}") for n in self.found.chosen.kept}

    def told(self) -> str:
        """Tables for people."""
        found, chosen = self.found, self.found.chosen
        localiser, places = found.measure == "AUC", PLACES[found.measure]
        middle = [n for n, words in self.kept().items() if words.startswith("damage")]
        lines = [
            f"calibrated on {self.calibrated[0]}: {self.calibrated[1]} pictures; "
            f"judged on {self.judged[0]}: {self.judged[1]} pictures, ONNX Runtime",
            *self.notes,
            "",
            f"  {'calibration':<12}{'layers in float':>16}{'of mult.-adds':>15}{found.measure:>8}{'lost':>8}{'MB':>7}"
            + (f"{'of limits':>11}" if localiser else ""),
            f"  {'float32':<12}{len(self.graph.layers):>16}{'100 %':>15}{100 * found.value:>8.2f}{'':>8}"
            f"{self.before / 1e6:>7.2f}",
        ]
        for t in found.trials:
            mark = "  chosen" if t is chosen else ""
            share = f"{100 * t.share:.1f} %"
            limits = f"{t.strain:>11.2f}" if localiser else ""
            lines.append(
                f"  {t.method:<12}{len(t.kept):>16}{share:>15}{100 * t.value:>8.2f}{t.lost:>8.2f}{t.size / 1e6:>7.2f}"
                f"{limits}  {t.why}{mark}"
            )
        lines += ["", f"  {'one layer alone in INT8, the worst':<36}{'scores move by':>15}{places:>9}  stays float"]
        for d in found.damages[:WORST]:
            stays = "yes" if d.layer.name in chosen.kept else ""
            lines.append(f"  {d.layer.name:<36}{d.scores:>15.5f}{d.places:>9.5f}  {stays}".rstrip())
        ends = [n for n in chosen.kept if n not in middle]
        kept = f"; for its damage: {', '.join(middle)}" if middle else ""
        lines += [
            "",
            f"INT8 by {chosen.method}: {told_loss(chosen, found.measure)} (budget {self.budget:g}); "
            f"{len(chosen.kept)} of {len(self.graph.layers)} layers stay float: {', '.join(ends)}{kept}",
        ]
        if chosen.packed:
            lines.append(f"weights in four bits, so that the file is smaller: {', '.join(chosen.packed)}")
        return "\n".join(lines)

"""The tables of docs/experiments.md, made of benchmarks/results/experiments.json; see `docs/generate.py`."""

from __future__ import annotations

from typing import Any


def experiments(data: dict[str, Any] | None) -> str:
    """Every experiment that is done, by what it asks, with its difference from the base.

    data  what benchmarks/experiments.py wrote; None: it was not run
    """
    if not data or not data["rows"]:
        return "No row is done yet."
    rows: list[dict[str, Any]] = data["rows"]
    base = next((row for row in rows if row["name"] == "base"), None)
    out = [
        f"{data['title']}. Machine: {data['machine']}. Command: `{data['command']}`",
        "",
        f"Base: `{' '.join(data['base'])}`",
        "",
        "| asks about | change | AP50 | against the base | MR^-2 | miss rate at 1 FPPI | AP50, heads under 16 px | "
        "multiply-adds | parameters | seeds |",
        "|---" * 10 + "|",
    ]
    for row in rows:
        shown = [
            row["group"],
            row["change"],
            _several(row["ap50"]),
            _against(row, base),
            *(_several(row[k]) for k in ("mr2", "miss_at_1fppi", "ap50_under_16px")),
            f"{row['macs'] / 1e6:.1f} M",
            f"{row['parameters']:,}",
            ", ".join(map(str, row["seeds"])),
        ]
        out.append(f"| {' | '.join(shown)} |")
    return "\n".join([*out, "", noise(base)])


def noise(base: dict[str, Any] | None) -> str:
    """How far two seeds of the base lie apart, which is what a difference has to be larger than."""
    if base is None or len(base["ap50"]) < 2:
        return "Noise: not known yet, since the base has one seed; take differences under 0.02 for none."
    apart = max(base["ap50"]) - min(base["ap50"])
    return f"Noise: AP50 of the base's {len(base['ap50'])} seeds lies {apart:.4f} apart."


def records(data: dict[str, Any] | None) -> str:
    """Runs of whole recipes: AP50 by epoch, of those epochs that were scored."""
    if not data or not data["records"]:
        return "No run of a whole recipe is here."
    rows = ["| run | what | epochs of 1,930 pictures | AP50 | best | MR^-2 at the best |", "|---" * 6 + "|"]
    for run in data["records"]:
        best = max(range(len(run["ap50"])), key=run["ap50"].__getitem__)
        some = sorted({0, len(run["ap50"]) // 2, len(run["ap50"]) - 1})
        rows.append(
            f"| {run['name']} | {run['about']} | {', '.join(str(run['epochs'][k]) for k in some)} | "
            f"{_listed(run['ap50'], some)} | {run['ap50'][best]:.4f} after "
            f"{run['epochs'][best]} | {run['mr2'][best]:.4f} |"
        )
    return "\n".join(rows)


def _several(values: list[float]) -> str:
    return " / ".join(f"{v:.4f}" for v in values) or "-"


def _against(row: dict[str, Any], base: dict[str, Any] | None) -> str:
    """Mean AP50 less the base's, over its seeds."""
    if base is None or row is base:
        return "-"
    mean = [sum(r["ap50"]) / len(r["ap50"]) for r in (row, base)]
    return f"{mean[0] - mean[1]:+.4f}"


def _listed(values: list[float], places: list[int]) -> str:
    return ", ".join(f"{values[k]:.4f}" for k in places)

"""Experiments: one change a row, all on SCUT-HEAD train_A + train_B -> val_B, at equal pictures seen.

A row changes one thing of the quick base: benchmarks/experiments_base.py on a narrow network that trains in minutes.
Rows are trained by `passerby train` into runs/experiments/NAME-SEED, and go on where they stopped when this is started
again. A row that is there is not trained anew, nor, with --missing, one that the results have
from another machine. The score is that of the last epoch: none is picked by what it scores.

python benchmarks/experiments.py --root DIR [--only NAME]... [--list] [--collect]
where DIR holds data/scut_head and weights/; a training that stopped is begun again with the same command
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from common import machine
from experiment_rows import BASE, EPOCHS, QUICK, RECORDS, ROWS, Row, known

from passerby.files import written_whole

RUNS = Path("runs") / "experiments"
RESULT = Path(__file__).resolve().parent / "results" / "experiments.json"


@dataclass(frozen=True)
class Job:
    """One training: a row and one of its seeds."""

    row: Row
    seed: int

    @property
    def out(self) -> Path:
        return RUNS / f"{self.row.name}-{self.seed}"

    def words(self, root: Path) -> list[str]:
        """What follows `passerby train`."""
        sets = [*self.row.sets, f"run.seed={self.seed}", f"data.root={root}"]
        return [self.row.recipe, *(w for s in sets for w in ("--set", s)), "--out", str(self.out)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True, help="holds data/scut_head and weights/")
    parser.add_argument("--only", action="append", metavar="NAME", help="only this row; may be repeated")
    parser.add_argument("--missing", action="store_true", help="only rows that the committed results do not have")
    parser.add_argument("--list", action="store_true", help="print the commands and stop")
    parser.add_argument("--collect", action="store_true", help="gather what is there, and stop")
    given = parser.parse_args()
    if given.collect:
        collect()
        return
    rows = [known(name) for name in given.only] if given.only else ROWS
    if given.missing:
        there = {row["name"] for row in json.loads(RESULT.read_text())["rows"]} if RESULT.exists() else set()
        rows = [row for row in rows if row.name not in there]
    # Second seeds come last: a table with every row is worth more than half of one with bars.
    jobs = [Job(row, row.seeds[k]) for k in range(3) for row in rows if k < len(row.seeds)]
    for job in jobs:
        if given.list:
            print("passerby train", *(f"'{w}'" if "[" in w else w for w in job.words(Path("DIR"))))
            continue
        if not (job.out / "result.json").exists():
            run(job, given.root)
        collect()


def run(job: Job, root: Path) -> None:
    """Train (or go on), measure the last epoch on val_B, and keep result.json beside it."""
    resume = ["--resume"] if (job.out / "last.safetensors").exists() else []
    command = [sys.executable, "-m", "passerby", "train", *job.words(root), *resume]
    done = subprocess.run(command, stdout=subprocess.DEVNULL, check=False)
    if done.returncode:
        print(f"{job.out.name}: stopped with exit code {done.returncode}; left out, tried again next time")
        return
    with written_whole(job.out / "result.json") as path:
        path.write_text(json.dumps(measure(job.out, root, job.row), indent=1) + "\n")


def measure(out: Path, root: Path, row: Row) -> dict[str, object]:
    """Scores of a run's last epoch on val_B, what its network costs, and the seconds it trained."""
    import torch

    from passerby.learn.checkpoint import load_network
    from passerby.learn.detecting import FLOOR
    from passerby.learn.engine import TorchEngine
    from passerby.learn.layers import layers_of, sums_of
    from passerby.measure.evaluate import evaluate, load_boxes
    from passerby.runtime.detector import Detector

    torch.set_num_threads(1)
    network, spec, facts = load_network(out / "last.safetensors")
    state = json.loads(facts["state"])
    samples = load_boxes("voc:data/scut_head#val_B", spec.labels, root)
    metrics = ("average_precision", "miss_rate", "by_size")
    report = evaluate(Detector.of(spec, TorchEngine(network, torch.device("cpu")), FLOOR), samples, metrics)
    parameters, macs, _ = sums_of(layers_of(network, spec))
    return {
        "change": row.change,
        "scores": {k: v for k, v in report.scores.items() if v == v},
        "parameters": parameters,
        "macs": macs,
        "epochs": state["epoch"],
        "seconds": round(state["seconds"]),
    }


def collect() -> None:
    """Every result that is there -> benchmarks/results/experiments.json; what was trained elsewhere stays in it."""
    before = json.loads(RESULT.read_text()) if RESULT.exists() else {"rows": [], "records": []}
    kept = {row["name"]: row for row in before["rows"]}
    told = {record["name"]: record for record in before["records"]}
    rows: list[dict[str, object]] = []
    machines: list[str] = []
    for row in ROWS:
        found = {s: p for s in row.seeds if (p := RUNS / f"{row.name}-{s}" / "result.json").exists()}
        if len(found) < len(kept.get(row.name, {}).get("seeds", ())):
            rows.append(kept[row.name])
            machines = [*before["machine"].split("; "), *machines]
            continue
        if not found:
            continue
        machines.append(machine())
        results = [json.loads(p.read_text()) for p in found.values()]
        first, scores = results[0], [r["scores"] for r in results]
        rows.append(
            {
                "name": row.name,
                "group": row.group,
                "change": row.change,
                "command": " ".join(["passerby train", row.recipe, *(f"--set {s}" for s in row.shown())]),
                "seeds": list(found),
                **{k: [round(s[k], 4) for s in scores] for k in ("ap50", "mr2", "miss_at_1fppi")},
                "ap50_under_16px": [round(s["ap50@0-16"], 4) for s in scores],
                "macs": first["macs"],
                "parameters": first["parameters"],
                "seconds": [r["seconds"] for r in results],
            }
        )
    document = {
        "title": f"{EPOCHS} epochs of 1,930 pictures (train_A, train_B) each, scored on val_B",
        "machine": "; ".join(dict.fromkeys(machines)),
        "command": "python benchmarks/experiments.py --root DIR",
        "base": ["passerby train", BASE, *(f"--set {s}" for s in QUICK)],
        "rows": rows,
        "records": [r for name, about in RECORDS.items() if (r := read_record(name, about) or told.get(name))],
    }
    with written_whole(RESULT) as path:
        path.write_text(json.dumps(document, indent=1) + "\n")


def read_record(name: str, about: str) -> dict[str, object] | None:
    """AP50 and MR^-2 of a whole recipe's run as its own history tells; None where the run is not here."""
    path = Path("runs") / name / "history.json"
    if not path.exists():
        return None
    told = [row for row in json.loads(path.read_text()) if "ap50" in row]
    scores = {k: [round(row[k], 4) for row in told] for k in ("ap50", "mr2", "miss_at_1fppi")}
    return {"name": name, "about": about, "epochs": [int(row["epoch"]) for row in told], **scores}


if __name__ == "__main__":
    main()

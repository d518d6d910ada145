"""Writes the parts of the docs that follow from the code: the verbs' help pages, the tree, the card's tables.

python docs/generate.py          write them
python docs/generate.py --check  exit 1, naming the file, where one is stale
"""

from __future__ import annotations

import ast
import difflib
import json
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "docs")]
import deploy_tables  # noqa: E402
import experiment_tables  # noqa: E402
import published_tables  # noqa: E402

MARK = "<!-- generated: {} -->", "<!-- end -->"


def main() -> int:
    check = "--check" in sys.argv[1:]
    stale = 0
    for path, text in pages().items():
        old = path.read_text(encoding="utf-8") if path.exists() else ""
        if old == text:
            continue
        if check:
            stale += 1
            print(f"{path.relative_to(ROOT)} is stale; run python docs/generate.py")
            diff = difflib.unified_diff(old.splitlines(), text.splitlines(), "committed", "generated", lineterm="", n=1)
            print("\n".join(list(diff)[:40]))
        else:
            path.write_text(text, encoding="utf-8")
            print(f"wrote {path.relative_to(ROOT)}")
    return 1 if stale else 0


def pages() -> dict[Path, str]:
    """Every file with generated parts -> what it should hold."""
    out = {ROOT / "docs" / "cli.md": help_pages()}
    blocks = {
        "tree": tree(),
        "decisions": decisions(),
        "accuracy": accuracy(),
        "cost": cost(),
        "kinds": kinds(),
        "formats": formats(),
        "models": models(),
    }
    blocks["speed"] = "\n".join(timing(name) for name in ("speed", "cold_start", "training_speed"))
    blocks |= {name: timing(name) for name in ("cache", "check", "reading", "statistics", "training_step")}
    blocks |= {name: timing(name) for name in ("live", "planes", "planes_cost", "planes_streams", "soak", "load")}
    blocks |= {name: timing(name) for name in ("throughput", "tracking", "counting")}
    blocks["anchors"] = timing("anchors", "val_")
    blocks |= {"family": timing("family"), "study": side_by_side("study"), "free-boxes": side_by_side("free_boxes")}
    blocks |= {"voc2007": published_tables.voc2007(), "coco-cost": published_tables.coco(family_of("family_80"))}
    blocks |= {"cpu-study": published_tables.cpu_study(rows_of("study")), "study-verdicts": verdicts("study")}
    blocks["free-verdicts"] = verdicts("free_boxes")
    of_experiments = result("experiments") if (ROOT / "benchmarks" / "results" / "experiments.json").exists() else None
    blocks["experiments"] = experiment_tables.experiments(of_experiments)
    blocks |= {"experiment-records": experiment_tables.records(of_experiments), "suppression": timing("suppression")}
    blocks |= {name: timing(name) for name in ("tiles", "curve", "targets_speed", "elsewhere")}
    blocks |= {name: timing(name) for name in ("false_alarms", "labelled_twice")}
    blocks |= {"quantise": deploy_tables.quantised(), "certificates": deploy_tables.certificates()}
    blocks |= {"blood_cells": blood_cells(), "networks": networks(), "compare": timing("compare")}
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "passerby" / "models").glob("*.md")]:
        text = path.read_text(encoding="utf-8")
        filled = text
        for block, content in blocks.items():
            filled = fill(filled, block, content)
        if MARK[0].split("{}")[0] in text:
            out[path] = filled
    return out


def fill(text: str, name: str, content: str) -> str:
    """Replace what stands between the marks of a block; text without the marks stays as it is."""
    start, end = MARK[0].format(name), MARK[1]
    if start not in text:
        return text
    before, rest = text.split(start, 1)
    return f"{before}{start}\n{content.strip()}\n{end}{rest.split(end, 1)[1]}"


def help_pages() -> str:
    os.environ["COLUMNS"] = "100"
    from click.testing import CliRunner

    from passerby.cli.data import VERBS as OF_DATA
    from passerby.cli.main import VERBS, main

    parts = ["# Command line\n\nGenerated from `--help` by `docs/generate.py`.\n"]
    verbs = [[], *([verb] for verb in VERBS), *(["data", verb] for verb in OF_DATA)]
    for words in verbs:
        verb, args = " ".join(words), [*words, "--help"]
        text = CliRunner().invoke(main, args, prog_name="passerby", terminal_width=100).output
        parts.append(f"## passerby {verb}".rstrip() + f"\n\n```\n{text.strip()}\n```\n")
    return "\n".join(parts)


def tree() -> str:
    """Every module with the first line of its docstring."""
    rows = ["```"]
    for path in sorted((ROOT / "passerby").rglob("*.py")):
        doc = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").splitlines()
        first = doc[0] if doc else ""
        rows.append(f"{path.relative_to(ROOT).as_posix():<46} {first}")
    return "\n".join([*rows, "```"])


def decisions() -> str:
    """Every decision by its heading."""
    pages = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))
    headings = {p.name: p.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ") for p in pages}
    return "\n".join(f"* [{heading}]({name})" for name, heading in headings.items())


def kinds() -> str:
    """The table of everything that can be wrong with a data set."""
    from passerby.data.kinds import KINDS, SEVERITIES

    rows = ["| kind | severity | what it is | what readers do | what `--fix` does more |", "|---|---|---|---|---|"]
    for kind, k in sorted(KINDS.items(), key=lambda row: SEVERITIES.index(row[1].severity)):
        rows.append(f"| `{kind}` | {k.severity} | {k.meaning} | {k.done} | {k.fixed} |")
    return "\n".join(rows)


def result(name: str) -> dict:
    return json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text(encoding="utf-8"))


def accuracy() -> str:
    from passerby.measure.report import MEANING, suppression_of

    data = result("accuracy")
    columns = list(data["runs"])
    rows = ["| | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    rows.append("| pictures, objects | " + " | ".join(_counts(data["runs"][c]) for c in columns) + " |")
    for key, meaning in MEANING.items():
        values = [data["runs"][c]["scores"].get(key) for c in columns]
        if any(v is not None for v in values):
            rows.append(f"| {meaning} | " + " | ".join("-" if v is None else f"{v:.4f}" for v in values) + " |")
    s = data["runs"][columns[0]]["settings"]
    rows.append("")
    rows.append(
        f"A hit: IoU {s['match_iou']}. Scores from {s['score_floor']}, {suppression_of(s)}, at most "
        f"{s['max_detections']} detections a picture (COCO AP: {s['coco_cap']}). Precision to false positives: at the "
        f"model's threshold, {s['threshold']}. Engine: {s['engine']}. Command: `{data['command']}`"
    )
    return "\n".join(rows)


def _counts(run: dict) -> str:
    return f"{run['settings']['pictures']}, {run['settings']['objects']}"


def timing(name: str, only: str = "") -> str:
    """A benchmark's table (rows that start with `only`), machine and command; nothing where it was not run."""
    if not (ROOT / "benchmarks" / "results" / f"{name}.json").exists():
        return ""
    data = result(name)
    first = next(iter(data["rows"][0]))
    shown = [r for r in data["rows"] if str(r[first]).startswith(only)]
    told = f"{data['title']}. Machine: {data['machine']}. Command: `{data['command']}`"
    return "\n".join([told, "", deploy_tables.table(shown), ""])


def networks() -> str:
    """What the shipped recipes' networks cost."""
    from passerby.learn.published import sizes_table

    return sizes_table()


def side_by_side(name: str) -> str:
    """A benchmark's table turned: a column a row, for few rows of many numbers."""
    if not (rows := rows_of(name)):
        return ""
    first, *keys = rows[0]
    data = result(name)
    out = [f"{data['title']}. Machine: {data['machine']}. Command: `{data['command']}`", ""]
    out += [f"| | {' | '.join(str(r[first]) for r in rows)} |", "|---" * (len(rows) + 1) + "|"]
    return "\n".join([*out, *(f"| {k} | {' | '.join(str(r[k]) for r in rows)} |" for k in keys)])


def rows_of(name: str) -> list[dict]:
    """A benchmark's rows; none where it was not run."""
    return result(name)["rows"] if (ROOT / "benchmarks" / "results" / f"{name}.json").exists() else []


def family_of(name: str) -> dict[str, dict]:
    """The rows of benchmarks/family.py by network."""
    return {row["network"]: row for row in rows_of(name)}


def verdicts(name: str) -> str:
    """What `passerby compare` says of a study's detectors, in words."""
    if not (ROOT / "benchmarks" / "results" / f"{name}_verdicts.json").exists():
        return ""
    return "\n".join(f"* {sentence}" for sentence in result(f"{name}_verdicts"))


def blood_cells() -> str:
    """The tutorial's model on BCCD's test pictures: what `passerby eval --json` said."""
    if not (ROOT / "benchmarks" / "results" / "blood_cells.json").exists():
        return ""
    data = result("blood_cells")
    s, scores = data["settings"], data["scores"]
    head = f"{s['data']}: {s['pictures']} pictures, {s['objects']} objects; engine {s['engine']}."
    rows = [
        f"{head} Command: `{data['command']}`",
        "",
        "| AP50 (VOC area) | |",
        "|---|---|",
        f"| **mean of the classes** | **{scores['ap50']:.4f}** |",
    ]
    rows += [f"| {k[5:]} | {v:.4f} |" for k, v in scores.items() if k.startswith("ap50/")]
    rows += [f"| mean, 11-point | {scores['ap50_11pt']:.4f} |", f"| COCO AP | {scores['coco_ap']:.4f} |"]
    return "\n".join(rows)


def formats() -> str:
    """The formats that are read."""
    from passerby.data import READERS

    return "\n".join(["| format | what |", "|---|---|", *(f"| `{k}` | {r.about} |" for k, r in READERS.items())])


def models() -> str:
    """The detectors that ship, by what their own files say."""
    from passerby.runtime.model_file import read_spec, shipped_models

    measured = {row["model"]: row["AP50"] for row in rows_of("curve")}
    measured |= {r["model"]: r["AP50"] for r in rows_of("elsewhere") if r["objects"].endswith(" persons")}
    rows = ["| model | finds | network, input | multiply-adds | AP50 | file |", "|---" * 6 + "|"]
    for name, path in shipped_models().items():
        spec = read_spec(path)
        if spec.task != "detect":
            continue
        network = (
            f"{spec.network['backbone']}, width {spec.network['width_multiplier']:g}, {spec.width} x {spec.height}"
        )
        macs, facts = sum(x.macs for x in spec.layers), spec.provenance
        found = measured.get(name, facts.get("val_ap50"))  # what is made of others without training was not validated
        score = f"{float(found):.3f} on {facts['chosen_on'].split('#')[-1]}"
        size = f"{path.stat().st_size / 1e6:.1f} MB"
        link = f"[{name}](passerby/models/{name}.md) | {', '.join(spec.labels)}"
        rows.append(f"| {link} | {network} | {macs / 1e6:.0f} M | {score} | {size} |")
    return "\n".join(rows)


def cost() -> str:
    from passerby.runtime.model_file import find_model, read_spec

    path = find_model("head")
    spec = read_spec(path)
    parameters, macs, memory = (sum(getattr(x, k) for x in spec.layers) for k in ("parameters", "macs", "memory"))
    return "\n".join(
        [
            "| | published reference | this model |",
            "|---|---|---|",
            f"| parameters | 2,750,864 | {parameters:,} |",
            f"| multiply-adds | 618 M at 300 x 300 | {macs / 1e6:.1f} M at {spec.width} x {spec.height} |",
            f"| memory | 345.9 MiB (needed to run, as published) | {memory / 2**20:.1f} MiB (all layers' outputs at "
            "float32, added up) |",
            f"| file | - | {path.stat().st_size / 1e6:.2f} MB |",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())

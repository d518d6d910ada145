"""The tables of docs/guides/quantise.md and export.md, made of benchmark results and of docs/certificates."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


def quantised() -> str:
    """Accuracy of every file, times, and how near the processor's limit they come; nothing where it was not run."""
    path = ROOT / "benchmarks" / "results" / "quantise.json"
    if not path.exists():
        return ""
    data = json.loads(path.read_text(encoding="utf-8"))
    peaks = data["peak of one core, 10^9 multiply-adds a second"]
    search = data["search"]
    told = ", ".join(f"{p['engine']} {p['precision']} {p['rate']:g}" for p in peaks)
    return "\n".join(
        [
            f"{data['title']}. Machine: {data['machine']}. Command: `{data['command']}`",
            "",
            table(data["accuracy"]),
            "",
            table(data["times"]),
            "",
            f"Peak of one core, 10^9 multiply-adds a second, of a product of two 1024 x 1024 matrices: {told}.",
            "",
            f"Calibrated on {search['calibrated_on']}, judged on {search['judged_on']}; method {search['method']}, "
            f"{search['lost_points']:.2f} points of AP50 lost on the judges; "
            f"{len(search['kept_in_float'])} layers with {100 * search['float_share_of_macs']:.1f} % of the "
            "multiply-adds stay float.",
            "",
        ]
    )


def certificates() -> str:
    """A row a certificate of docs/certificates."""
    rows = []
    for path in sorted((ROOT / "docs" / "certificates").glob("*.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        rows.append({"file": f"[{path.stem}](../certificates/{path.name})", **_row(record)})
    return table(rows) + "\n" if rows else ""


def _row(record: dict[str, Any]) -> dict[str, str]:
    accuracy = record.get("accuracy") or {}
    ap50 = accuracy.get("ap50")
    shown = record.get("shown") or {}
    box, score = record.get("box_px"), record.get("score")
    return {
        "model": record["before"]["name"],
        "ran on": record.get("run_by") or record["after"]["engine"],
        "pictures": str(record["pictures"]),
        "AP50": f"{100 * ap50['before']:.2f} -> {100 * ap50['after']:.2f}" if ap50 else "-",
        "boxes moved, p99 px": f"{box['p99']:.3g}" if box else "-",
        "scores moved, p99": f"{score['p99']:.2g}" if score else "-",
        "lost, gained": f"{shown['lost']}, {shown['gained']}" if shown else "-",
        "limits": "broken: " + "; ".join(record["broken"]) if record["broken"] else "hold",
    }


def table(rows: list[dict[str, Any]]) -> str:
    """Rows as Markdown; a dash where one lacks what another has."""
    keys = list(dict.fromkeys(k for row in rows for k in row))
    lines = ["| " + " | ".join(keys) + " |", "|---" * len(keys) + "|"]
    return "\n".join([*lines, *("| " + " | ".join(_cell(row.get(k, "-")) for k in keys) + " |" for row in rows)])


def _cell(value: Any) -> str:
    return " to ".join(f"{v:g}" for v in value) if isinstance(value, list) else str(value)

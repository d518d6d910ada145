"""The page of `passerby quantise`: what was tried, what each layer does to the answers alone, and what stayed float."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from passerby.pages import html, plots

BARS = 24  # layers in the plot, the most damaging


def quantise_page(record: Mapping[str, Any], certificate: str) -> str:
    """The whole document.

    record       of `deploy.quantise.report.Report`
    certificate  of the new file, as it is told to people
    """
    kept, measure = record["kept_in_float"], record["measure"]
    before, after = (100 * record[f"{measure.lower()}_{of}"] for of in ("float", "int8"))
    boxes = measure == "AP50"
    places = "1 - IoU" if boxes else "maps"
    worst = record["layers"][:BARS]
    parts = [
        html.text(
            f"INT8 by {record['method']}: {measure} {before:.2f} before, {after:.2f} after; "
            f"lost {record['lost_points']:.2f} points of a budget of "
            f"{record['budget_points']:g}. {record['bytes_int8'] / 1e6:.2f} MB of {record['bytes_float'] / 1e6:.2f}."
        ),
        *(
            [html.text(f"Weights in four bits: {', '.join(fours)}.")]
            if (fours := record["stored_in_four_bits"])
            else []
        ),
        html.text(f"Calibrated on {record['calibrated_on']}; judged on {record['judged_on']}."),
        *(html.text(note) for note in record["notes"]),
        html.heading("What was tried"),
        html.table(
            ["calibration", "why", "layers in float", "of multiply-adds", measure, "points lost", "MB"],
            [
                [
                    t["method"],
                    t["why"],
                    len(t["kept"]),
                    f"{100 * t['share']:.1f} %",
                    f"{100 * t['value']:.2f}",
                    f"{t['lost']:.2f}",
                    f"{t['size'] / 1e6:.2f}",
                ]
                for t in record["trials"]
            ],
        ),
        html.heading("One layer at a time"),
        html.text(
            "Each layer alone in INT8, everything else float, on average: how far scores move, and "
            + (
                "how much of a box is not where it was (1 - IoU), on default boxes that score at least 0.1."
                if boxes
                else "how far the maps move, as a share of a picture's largest value."
            )
        ),
        html.figure(
            plots.stacks(
                [x["layer"].removeprefix("backbone.") for x in worst],
                {"scores": [100 * x["scores"] for x in worst], places: [100 * x["places"] for x in worst]},
                "The layers that do most damage",
                " %",
            ),
            "",
        ),
        html.table(
            ["layer", "multiply-adds", "scores", places, "stays float"],
            [
                [x["layer"], x["macs"], f"{x['scores']:.5f}", f"{x['places']:.5f}", kept.get(x["layer"], "")]
                for x in record["layers"]
            ],
        ),
        html.heading("Certificate"),
        html.code(certificate),
    ]
    return html.page("Quantised: what was kept in float, and why", parts)

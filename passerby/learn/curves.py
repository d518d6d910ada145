"""Learning curves as a picture."""

from __future__ import annotations

from pathlib import Path

from passerby.files import written_whole

LOSSES = (
    ("loss_score", "score loss"),
    ("loss_box", "box loss"),
    ("loss", "training"),
    ("val_loss", "validation"),
)
SCORES = (
    ("ap50", "AP50"),
    ("mr2", "MR^-2"),
    ("miss_at_1fppi", "miss rate at 1 FPPI"),
    ("accuracy", "accuracy, training"),
    ("val_accuracy", "accuracy, validation"),
    ("val_auc", "AUC, validation"),
)


def draw_curves(history: list[dict[str, float]], path: Path, title: str) -> None:
    """Losses, scores and learning rate over the epochs, as a PNG, written whole."""
    from matplotlib.figure import Figure  # 0.5 s to import, and no window system

    figure = Figure(figsize=(9, 5.5), layout="constrained")
    top, bottom = figure.subplots(2, 1, sharex=True)
    for axes, lines in ((top, LOSSES), (bottom, SCORES)):
        for name, text in lines:
            rows = [row for row in history if name in row]
            if rows:  # a detector has other numbers than a classifier
                axes.plot([r["epoch"] for r in rows], [r[name] for r in rows], marker=".", label=text)
    top.set_ylabel("loss")
    top.set_title(title)
    rates = top.twinx()
    rates.plot([row["epoch"] for row in history], [row["rate"] for row in history], color="0.7", linewidth=1)
    rates.set_ylabel("learning rate (grey)")
    top.legend()
    bottom.set_xlabel("epoch")
    bottom.set_ylabel("scores")
    bottom.set_ylim(0, 1)
    bottom.grid(alpha=0.3)
    bottom.legend()
    with written_whole(path) as temporary:
        figure.savefig(temporary, dpi=110)

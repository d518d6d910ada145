"""Options that several verbs share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from passerby.cli.progress import Progress
    from passerby.records import SampleSet

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def engine_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """--engine and --threads."""
    engine = click.option(
        "--engine",
        default="auto",
        show_default=True,
        metavar="auto|onnxruntime|openvino",
        help="What runs the network; auto takes OpenVINO where it is installed.",
    )
    threads = click.option("--threads", default=0, show_default=True, help="Of the engine; 0: as many as it likes.")
    return engine(threads(function))


threshold_option = click.option(
    "--threshold", type=float, help="Report scores from this on (0 to 1); default: the model's own."
)


def data_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """--root and --classes: where data sets are, and which classes of them."""
    root = click.option(
        "--root", type=click.Path(path_type=Path), default=Path(), help="Relative DATA paths start here."
    )
    classes = click.option(
        "--classes", multiple=True, metavar="NAME[=OLD+OLD]", help="Class wanted, in order; may be repeated."
    )
    return root(classes(function))


def parse_input(text: str) -> tuple[int, int]:
    """Width and height, pixels, of "300x200", or of "300" for a square. Raises SettingError for anything else."""
    from passerby.errors import SettingError

    sides = text.lower().replace(" ", "").split("x")
    if len(sides) > 2 or not all(s.isascii() and s.isdigit() and 0 < int(s[:9]) <= 16384 for s in sides):
        raise SettingError(f"'{text}' is no size; want WIDTHxHEIGHT in pixels, e.g. 300x300")
    return int(sides[0]), int(sides[-1])


def parse_counts(text: str, name: str) -> tuple[int, ...]:
    """Whole numbers of "8,16,32". Raises SettingError naming the option for anything else."""
    from passerby.errors import SettingError

    parts = [p.strip() for p in text.split(",")]
    if not all(p.isascii() and p.isdigit() for p in parts):
        raise SettingError(f"{name} '{text}': want whole numbers with commas between, e.g. 8,16,32,64")
    return tuple(int(p[:9]) for p in parts)


def read_all(data: Sequence[str], classes: Sequence[str], root: Path, progress: Progress) -> SampleSet:
    """Several data sets as one; why a format was taken, and what readers changed, is told on stderr."""
    from passerby.data import join, load_data
    from passerby.data.kinds import summary

    sets = [load_data(source, classes, root) for source in data]
    for part in sets:
        if part.reason:
            progress.line(f"{part.source}: {part.reason}")
        if counts := summary(part.note_counts()):
            progress.line(f"{part.source}: the reader's notes: {counts}")
    return join(sets)

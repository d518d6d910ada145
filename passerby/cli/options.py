"""Options that several verbs share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

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

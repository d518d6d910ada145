"""passerby data: understand a data set before training on it."""

from __future__ import annotations

import click

from passerby.cli.verbs import Verbs

VERBS = {  # verb: module, in the order of --help
    "check": "passerby.cli.check",
    "stats": "passerby.cli.stats",
    "convert": "passerby.cli.convert",
}


@click.group("data", cls=Verbs, table=VERBS, short_help="Check, describe and convert data sets.")
def command() -> None:
    """Understand a data set before training on it: what is wrong with it, what is in it, and how to change it.

    DATA is format:path#split, for example voc:scut_head#train_B or coco:person_boxes#train,valid; without a format it
    is found out by looking, and the reason is told. docs/guides/data-formats.md lists the formats.
    """

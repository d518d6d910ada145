"""passerby parity: whether two files of one model answer alike, and how far apart they are where they do not."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from passerby.cli.options import data_options

if TYPE_CHECKING:
    from passerby.cli.progress import Progress
    from passerby.deploy.parity_layers import Parting
    from passerby.deploy.parity_limits import Limits
    from passerby.records import SampleSet
    from passerby.runtime.open import Word
    from passerby.runtime.predictor import Predictor


LIMITS_HELP = "\b\n" + "\n".join(
    (
        "Limits, by the coarser precision of the two:",
        "            float32  float16  bfloat16  int8",
        "box_p99     0.5      1        4         8      px that 1 in 100 boxes may move further than",
        "score_p99   0.01     0.02     0.05      0.1    that 1 in 100 scores may differ by more than",
        "changed     0.005    0.01     0.04      0.08   share of detections lost or gained; one alone passes",
        "ap50        0.1      0.2      0.3       0.3    points of AP50 lost, where DATA has boxes",
        "mr2         0.3      0.5      1         1      points of MR^-2 added, where DATA has boxes",
        "maps_p99    0.001    0.02     0.05      0.1    of a localiser's maps, shares of their largest value",
    )
)


@click.command("parity", short_help="Prove that two files of one model answer alike.", epilog=LIMITS_HELP)
@click.argument("before", metavar="A")
@click.argument("after", metavar="B")
@click.argument("data", metavar="DATA")
@data_options
@click.option("--labels", metavar="A,B,C", help="Class names, where a file states none.")
@click.option(
    "--engine",
    default="auto",
    show_default=True,
    metavar="NAME[,NAME]",
    help="What runs both files, or each; auto: one that runs both, ONNX Runtime before OpenVINO.",
)
@click.option("--threads", default=0, show_default=True, help="Of the engine; 0: as many as it likes.")
@click.option("--first", type=click.IntRange(1), metavar="N", help="Only the first N pictures.")
@click.option("--rounds", default=1, show_default=True, help="How often all pictures are gone through, for times.")
@click.option("--change", metavar="PRECISION", help="Whose limits hold; default: the coarser precision of the two.")
@click.option("--limit", "limits", multiple=True, metavar="NAME=X", help="A limit of your own, or none; repeatable.")
@click.option("--layers", is_flag=True, help="Also where two ONNX graphs part, layer by layer (extra [deploy]).")
@click.option("--store", is_flag=True, help="Write the certificate into the card of B.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def command(
    before: str,
    after: str,
    data: str,
    root: Path,
    classes: tuple[str, ...],
    labels: str | None,
    engine: str,
    threads: int,
    first: int | None,
    rounds: int,
    change: str | None,
    limits: tuple[str, ...],
    layers: bool,
    store: bool,
    as_json: bool,
) -> None:
    """Put the same pictures through A and B, in turns, and say how far their answers lie apart.

    A and B are models as in `passerby compare`: shipped names, files of any format, checkpoints, Python callables. Each
    prepares pictures in its own way. DATA is as in `passerby eval`; a folder of pictures without labels will do, and
    then accuracy is not measured.

    The exit code is 9 where a limit is broken; what they are stands below.
    --limit ap50=0.1 sets one, --limit box_p99=none takes it away. docs/guides/parity.md
    """
    import json

    from passerby.cli.progress import Progress
    from passerby.deploy.parity import compare, stamp
    from passerby.runtime.open import parse_word

    progress = Progress()
    words = parse_word(before), parse_word(after)
    names = tuple(n.strip() for n in (labels or "").split(",") if n.strip())
    pair = _open_both(words, engine, threads, names)
    samples = _read(pair, data, classes, root, first, progress)
    wanted = _limits(limits, change, pair)
    done = compare(
        *pair, samples, wanted, (words[0].file, words[1].file), rounds, change,
        lambda n, of: progress.step(f"{n}/{of} pictures"),
    )  # fmt: skip
    parting = _part(words, pair, samples, progress) if layers else None
    progress.clear()
    if as_json:
        click.echo(json.dumps({**done.record(), "layers": parting.record() if parting else None}, indent=1))
    else:
        click.echo(done.told() + (f"\n\n{parting.told()}" if parting else ""))
    if store:
        stamp(_own_file(words[1]), done)
        progress.line(f"the certificate is in {words[1].file}")
    done.need()


def _open_both(
    words: tuple[Word, Word], engine: str, threads: int, labels: tuple[str, ...]
) -> tuple[Predictor, Predictor]:
    from passerby.cli.compare import open_model
    from passerby.deploy.parity import FLOOR, engines_for
    from passerby.errors import SettingError

    named = [n.strip() for n in engine.split(",")]
    if len(named) > 2 or not all(named):
        raise SettingError(f"--engine {engine}: want one engine, or two with a comma between")
    engines = engines_for(words[0].file, words[1].file) if named == ["auto"] else (named[0], named[-1])
    a, b = (
        open_model(w, floor=FLOOR, engine=e, threads=threads, labels=labels, nms_iou=None, max_detections=None)
        for w, e in zip(words, engines, strict=True)
    )
    return a, b


def _read(
    pair: tuple[Predictor, Predictor],
    data: str,
    classes: tuple[str, ...],
    root: Path,
    first: int | None,
    progress: Progress,
) -> SampleSet:
    """The pictures, and boxes of the labels that A finds where there are any.

    Raises DataError where there are boxes, and none of a class that A finds.
    """
    from dataclasses import replace

    from passerby.cli.options import read_all
    from passerby.data import load_data
    from passerby.errors import DataError

    own = pair[0].spec.labels
    samples = read_all([data], classes or own, root, progress)
    if not samples.objects() and own:
        there = load_data(data, (), root)
        if there.objects() and not set(there.labels) & set(own):
            raise DataError(
                f"{data}: has {list(there.labels)}, {pair[0].spec.name} finds {list(own)}: no label in common; "
                f"say what is one and the same: --classes {own[0]}={there.labels[0]}"
            )
    return replace(samples, samples=samples.samples[:first]) if first else samples


def _limits(texts: tuple[str, ...], change: str | None, pair: tuple[Predictor, Predictor]) -> Limits:
    """The limits of a kind of change, some of them set by hand."""
    from passerby.deploy.parity_limits import LIMITS, change_of, set_limits
    from passerby.errors import SettingError, did_you_mean

    kind = change or change_of(*pair)
    if kind not in LIMITS:
        raise SettingError(f"--change {kind}: no such precision{did_you_mean(kind, LIMITS)}")
    return set_limits(LIMITS[kind], texts)


def _part(
    words: tuple[Word, Word], pair: tuple[Predictor, Predictor], samples: SampleSet, progress: Progress
) -> Parting:
    from passerby.deploy.parity_layers import find_parting

    progress.step("layer by layer")
    return find_parting((_own_file(words[0]), _own_file(words[1])), pair, samples)


def _own_file(word: Word) -> Path:
    """The file of a model. Raises SettingError for a Python function."""
    from passerby.errors import SettingError

    if word.file is None or word.is_function:
        raise SettingError(f"{word.what}: is no model file; --layers and --store need one")
    return word.file

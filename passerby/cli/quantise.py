"""passerby quantise: a smaller and faster file of a model, under a budget of accuracy, with its certificate."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from passerby.cli.options import data_options, read_all

if TYPE_CHECKING:
    from passerby.cli.progress import Progress
    from passerby.deploy.quantise.make import Choices
    from passerby.records import SampleSet


@click.command("quantise", short_help="Make a model INT8, or halve its file, under a budget of accuracy.")
@click.argument("model", metavar="MODEL")
@click.option("--data", multiple=True, required=True, metavar="DATA", help="Pictures that calibrate; may be repeated.")
@click.option("--check", multiple=True, metavar="DATA", help="Labelled pictures that judge; default: others of --data.")
@data_options
@click.option(
    "--to", "target", type=click.Path(path_type=Path), metavar="FILE", help="The new file.  [default: MODEL.int8.onnx]"
)
@click.option("--precision", default="int8", show_default=True, metavar="int8|float16|bfloat16")
@click.option("--method", default="all", show_default=True, metavar="minmax|percentile|entropy|all")
@click.option(
    "--budget",
    default=0.3,
    show_default=True,
    help="Points of AP50 (a localiser: AUC) that INT8 may lose.",
)
@click.option(
    "--size",
    default=0.25,
    show_default=True,
    help="Share of the float file that INT8 may take; over it weights go into four bits, within the budget. 1: never.",
)
@click.option("--pictures", default=128, show_default=True, help="At most so many calibrate.")
@click.option("--judging", default=300, show_default=True, help="At most so many judge.")
@click.option(
    "--engine",
    default="onnxruntime",
    show_default=True,
    metavar="onnxruntime|openvino",
    help="What runs both files for the certificate; the search runs ONNX Runtime.",
)
@click.option("--threads", default=0, show_default=True, help="Of the engine; 0: as many as it likes.")
@click.option("--limit", "limits", multiple=True, metavar="NAME=X", help="Of the certificate; see passerby parity -h.")
@click.option("--page", type=click.Path(path_type=Path), metavar="FILE", help="The report as an HTML page too.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def command(
    model: str,
    data: tuple[str, ...],
    check: tuple[str, ...],
    root: Path,
    classes: tuple[str, ...],
    target: Path | None,
    precision: str,
    method: str,
    budget: float,
    size: float,
    pictures: int,
    judging: int,
    engine: str,
    threads: int,
    limits: tuple[str, ...],
    page: Path | None,
    as_json: bool,
) -> None:
    """Write MODEL in INT8: an ordinary .onnx file (QDQ) that every engine of passerby runs, its spec inside.

    Pictures of --data show what each layer's outputs hold. Calibration methods are compared; the layers that
    read the picture stay float; each layer is tried in INT8 alone, and where AP50 falls by more than --budget on the
    pictures that judge, those that do most damage stay float too. Normalising and decoding are never quantised.
    Where the file is over --size of the float one still, some layers' weights are stored in four bits: they still
    multiply in INT8.

    Of a localiser AUC is judged, on class folders with and without what it looks for (or a set with boxes); its
    maps and scores have to stay within the certificate's limits.

    --precision float16 and bfloat16 store the weights so: half the file, run in what the engine computes in anyway.

    Every file ends with a certificate as of `passerby parity`; where a limit is broken, none is written and the exit
    code is 9. docs/guides/quantise.md
    """
    from dataclasses import replace

    from passerby.cli.progress import Progress
    from passerby.deploy.quantise import need_onnx
    from passerby.errors import SettingError
    from passerby.runtime.model_file import find_model, read_spec, shipped_models

    need_onnx()
    from passerby.deploy.parity_limits import LIMITS, set_limits
    from passerby.deploy.quantise.calibrate import METHODS
    from passerby.deploy.quantise.make import Choices, need_choices

    path, progress = find_model(model), Progress()
    folder = Path() if model in shipped_models() else path.parent
    out = target or folder / f"{path.stem}.{precision}.onnx"
    choices = Choices(
        precision, tuple(METHODS) if method == "all" else (method,), budget, None, engine, threads, size=size
    )
    need_choices(path, out, choices)
    if precision != "int8" and (page is not None or check):
        raise SettingError("--page and --check are for int8, which is searched for; leave them out")
    if precision == "int8" and any(text.startswith("ap50") for text in limits):
        raise SettingError("--limit ap50: of INT8 it is the budget; set --budget")
    choices = replace(choices, limits=set_limits(LIMITS[precision], limits))
    spec = read_spec(path)
    labels = classes or (() if spec.task == "localise" else spec.labels)  # pictures of other classes hold nothing
    pictures_of = partial(read_all, classes=labels, root=root, progress=progress)
    if precision == "int8":
        judge = pictures_of(check) if check else None
        _make_int8(path, out, pictures_of(data), judge, (pictures, judging), choices, page, as_json, progress)
    else:
        _make_half(path, out, pictures_of(data), judging, choices, as_json, progress)
    progress.line(f"{out}: {precision}, {out.stat().st_size / 1e6:.2f} MB of {path.stat().st_size / 1e6:.2f}")


def _make_int8(
    path: Path,
    out: Path,
    data: SampleSet,
    check: SampleSet | None,
    many: tuple[int, int],
    choices: Choices,
    page: Path | None,
    as_json: bool,
    progress: Progress,
) -> None:
    import json

    from passerby.deploy.quantise.make import quantise
    from passerby.deploy.quantise.pictures import split_pictures

    report, certificate = quantise(path, out, split_pictures(data, check, *many), choices, progress)
    progress.clear()
    document = {"file": str(out), "quantised": report.record(), "certificate": certificate.record()}
    click.echo(json.dumps(document, indent=1) if as_json else f"{report.told()}\n\n{certificate.told()}")
    if page is not None:
        from passerby.pages.html import save
        from passerby.pages.quantise import quantise_page

        save(page, quantise_page(report.record(), certificate.told()))
        progress.line(f"{page}: the report")


def _make_half(
    path: Path, out: Path, data: SampleSet, judging: int, choices: Choices, as_json: bool, progress: Progress
) -> None:
    import json
    from dataclasses import replace

    from passerby.deploy.quantise.make import store_half
    from passerby.deploy.quantise.pictures import spread

    some = replace(data, samples=tuple(spread(data.samples, judging)))
    certificate = store_half(path, out, some, choices, progress)
    progress.clear()
    document = {"file": str(out), "certificate": certificate.record()}
    click.echo(json.dumps(document, indent=1) if as_json else certificate.told())

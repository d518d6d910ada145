"""passerby compare: several detectors side by side on labelled pictures: accuracy, time, memory, size."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from passerby.cli.options import data_options, engine_options

if TYPE_CHECKING:
    from passerby.cli.progress import Progress
    from passerby.measure.compare import Comparison, Contender
    from passerby.measure.fresh import Fresh
    from passerby.records import SampleSet
    from passerby.runtime.open import Word
    from passerby.runtime.predictor import Predictor

FRESH_PICTURES = 20  # that a process of its own looks at


@click.command("compare", short_help="Compare detectors, ours or not: accuracy, time, memory, size.")
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@click.argument("data", metavar="DATA")
@data_options
@click.option("--labels", multiple=True, metavar="[MODEL=]A,B,C", help="Class names of a file that states none.")
@click.option("--threshold", "thresholds", multiple=True, metavar="[MODEL=]X", help="Instead of a model's own.")
@click.option("--rounds", default=1, show_default=True, help="How often all pictures are gone through, for times.")
@click.option("--floor", default=0.01, show_default=True, help="Scores under this are dropped before measuring.")
@click.option("--nms-iou", type=float, help="IoU over which the lower score is dropped; default: each model's own.")
@click.option("--max-detections", type=int, help="A picture; default: each model's own.")
@click.option("--coco-cap", default=100, show_default=True, help="Detections a picture that COCO AP looks at.")
@click.option("--quick", is_flag=True, help="Without memory, cold start, and the noise of all but AP50.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.option("--html", type=click.Path(path_type=Path), metavar="FILE", help="A page with plots and pictures.")
@click.option("--pictures", default=6, show_default=True, help="On the page: those where the models disagree most.")
@engine_options
def command(
    models: tuple[str, ...],
    data: str,
    root: Path,
    classes: tuple[str, ...],
    labels: tuple[str, ...],
    thresholds: tuple[str, ...],
    rounds: int,
    floor: float,
    nms_iou: float | None,
    max_detections: int | None,
    coco_cap: int,
    quick: bool,
    as_json: bool,
    html: Path | None,
    pictures: int,
    engine: str,
    threads: int,
) -> None:
    """Compare every MODEL on DATA, on the same pictures, in turns.

    MODEL is a shipped name, an .onnx file (passerby's or another maker's), a checkpoint, an OpenVINO .xml, a .tflite
    file, or a Python callable picture -> Detections as FILE.py:function or MODULE:function. NAME=MODEL calls it NAME;
    FILE:adapter says how another maker's file is read, where that is not found out. DATA is as in `passerby eval`.

    --classes head=face+Head says what is called head here, in DATA and by the models; only classes that all models
    find are compared. With --engine auto all .onnx files run on one engine. docs/guides/compare.md
    """
    import importlib.util

    from passerby.cli.progress import Progress
    from passerby.errors import SettingError
    from passerby.measure.compare import TESTED, TESTED_QUICK, compare, with_fresh
    from passerby.measure.compare_report import to_json, to_text
    from passerby.measure.evaluate import METRICS
    from passerby.runtime.open import parse_word

    for name, value, least in (("--coco-cap", coco_cap, 1), ("--rounds", rounds, 1), ("--pictures", pictures, 0)):
        if value < least:
            raise SettingError(f"{name} is {value}, want at least {least}")
    words = [parse_word(m) for m in models]
    named = {w.name for w in words}
    settings = {"floor": floor, "engine": engine, "threads": threads, "nms_iou": nms_iou}
    each: list[dict[str, Any]] = [
        {**settings, "max_detections": max_detections, "labels": own}
        for own in _labels_of(words, _by_model(labels, named, "--labels"))
    ]
    points = _by_model(thresholds, named, "--threshold")
    _need_names(words)
    progress = Progress()
    predictors = [open_model(w, **own) for w, own in zip(words, each, strict=True)]
    samples, renamed = _read(predictors, words, data, classes, root, progress)
    contenders = [
        _contender(w, p, renamed[k], _point(points, w.name))
        for k, (w, p) in enumerate(zip(words, predictors, strict=True))
    ]
    metrics = tuple(METRICS)
    if importlib.util.find_spec("hotcoco") is None:
        metrics = tuple(m for m in metrics if m != "coco")
        progress.line("COCO AP is left out: pip install 'passerby[measure]'")
    done = compare(
        contenders, samples, metrics, rounds, coco_cap, TESTED_QUICK if quick else TESTED,
        lambda n, of: progress.step(f"{n}/{of} pictures"),
    )  # fmt: skip
    if not quick:
        done = with_fresh(done, _fresh(words, each, samples, progress))
    progress.clear()
    click.echo(to_json(done) if as_json else to_text(done))
    if html:
        _write_page(html, done, pictures, progress)


def open_model(word: Word, **settings: Any) -> Predictor:
    """Any model: a checkpoint by `learn`, everything else by `runtime.open`; settings as `open_word` takes them."""
    from passerby.cli.eval import open_detector
    from passerby.runtime.model_file import CHECKPOINT
    from passerby.runtime.open import open_word
    from passerby.runtime.tuned import default_engine

    if settings.get("engine") == "auto" and word.file and word.file.suffix == ".onnx" and not word.is_function:
        settings["engine"] = default_engine()  # one for all: not what `passerby tune` chose for some of them

    if word.what.endswith(CHECKPOINT) and not word.is_function:
        own = {k: settings[k] for k in ("floor", "engine", "threads", "nms_iou", "max_detections")}
        return open_detector(word.what, **own)
    return open_word(word, **settings)


def _by_model(texts: Sequence[str], names: set[str], option: str) -> dict[str, str]:
    """Model's name -> what was said for it; "" for what was said for all."""
    from passerby.errors import SettingError, did_you_mean

    out: dict[str, str] = {}
    for text in texts:
        name, sep, value = text.partition("=")
        name, value = (name, value) if sep else ("", text)
        if name and name not in names:
            raise SettingError(f"{option} {text}: no model is called '{name}'{did_you_mean(name, names)}")
        out[name] = value
    return out


def _labels_of(words: Sequence[Word], given: dict[str, str]) -> list[tuple[str, ...]]:
    texts = [given.get(w.name, given.get("", "")) for w in words]
    return [tuple(n.strip() for n in t.split(",") if n.strip()) for t in texts]


def _point(given: dict[str, str], name: str) -> float | None:
    """The threshold that was said for a model."""
    from passerby.errors import SettingError

    text = given.get(name, given.get(""))
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0 <= value <= 1:
        raise SettingError(f"--threshold {text}: want a number from 0 to 1")
    return value


def _need_names(words: Sequence[Word]) -> None:
    """Before anything is loaded: two models of one name cannot be told apart in a table."""
    from passerby.errors import SettingError

    seen: dict[str, Word] = {}
    for word in words:
        if word.name in seen:
            raise SettingError(
                f"two models are called '{word.name}' ({seen[word.name].what} and {word.what}); "
                f"call one of them otherwise: OTHER={word.what}"
            )
        seen[word.name] = word


def _read(
    predictors: Sequence[Predictor],
    words: Sequence[Word],
    data: str,
    classes: tuple[str, ...],
    root: Path,
    progress: Progress,
) -> tuple[SampleSet, list[dict[str, str]]]:
    """The data with the classes that all models find, and what each model's labels are called in it.

    Raises DataError where no class is common to the data and all models, with all names side by side.
    """
    from passerby.cli.options import read_all
    from passerby.data import load_data
    from passerby.data.classes import parse_classes
    from passerby.errors import DataError
    from passerby.runtime.adapters.foreign import Foreign

    wanted = parse_classes(classes)
    own = wanted.labels or load_data(data, classes, root).labels
    if not own:
        raise DataError(f"{data}: has no boxes of any class; there is nothing to measure")
    renamed = [{n: wanted.renamed.get(n, n) for n in p.spec.labels} for p in predictors]
    common = [n for n in own if all(not r or n in r.values() for r in renamed)]
    if not common:
        raise _no_class(words, renamed, load_data(data, (), root).labels, data)
    left = [n for n in own if n not in common]
    if left:
        progress.line(f"left out, since not every model finds them: {', '.join(left)}")
    asked = [c for c in classes if c.partition("=")[0].strip() not in left] if classes else common
    samples = read_all([data], asked, root, progress)
    for predictor, names in zip(predictors, renamed, strict=True):
        if isinstance(predictor, Foreign):
            predictor.only([n for n, called in names.items() if called in common])
            progress.line(f"{predictor.path.name}: read as {predictor.kind}: {predictor.adapter.maker}")
    return samples, renamed


def _no_class(words: Sequence[Word], renamed: Sequence[dict[str, str]], own: Sequence[str], data: str) -> Exception:
    from passerby.errors import DataError

    def few(names: Sequence[str]) -> str:
        return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")

    sides = " | ".join(f"{w.name}: {few(list(r))}" for w, r in zip(words, renamed, strict=True) if r)
    old = next((n for r in renamed for n in r), "NAME")
    return DataError(
        f"no class is found by all models and in the data: {sides} | {data}: {few(list(own)) or 'no class'}; "
        f"say what is one and the same: --classes {old}={own[0] if own else 'OLD'}"
    )


def _contender(word: Word, predictor: Predictor, renamed: dict[str, str], point: float | None) -> Contender:
    from passerby.measure.compare import Contender
    from passerby.runtime.adapters.foreign import Foreign
    from passerby.runtime.costs import Costs, costs_of_file, costs_of_spec
    from passerby.spec import ModelSpec

    costs = Costs(None, None, "not counted")
    if isinstance(predictor, Foreign):
        costs = costs_of_file(predictor.path, (predictor.width, predictor.height))
    elif isinstance(predictor.spec, ModelSpec):
        costs = costs_of_spec(predictor.spec)
    other = {k: v for k, v in renamed.items() if k != v}
    return Contender(word.name, predictor, other, point, _size(word), costs)


def _size(word: Word) -> int | None:
    """Bytes of a model's file, the weights beside an .xml included; None for Python."""
    if word.is_function or word.file is None:
        return None
    weights = word.file.with_suffix(".bin")
    return word.file.stat().st_size + (weights.stat().st_size if word.file.suffix == ".xml" else 0)


def _fresh(
    words: Sequence[Word], each: Sequence[dict[str, Any]], samples: SampleSet, progress: Progress
) -> list[Fresh]:
    """Memory and cold start of each model, in processes of its own."""
    from dataclasses import asdict

    from passerby.measure.fresh import measure_fresh

    pictures = [str(s.path) for s in samples.samples[:FRESH_PICTURES]]
    out = []
    for word, settings in zip(words, each, strict=True):
        progress.step(f"{word.name} in a process of its own")
        request = {"word": asdict(word), "settings": settings, "pictures": pictures}
        out.append(measure_fresh([sys.executable, "-m", "passerby.cli.fresh"], request, word.name))
    return out


def _write_page(path: Path, comparison: Comparison, pictures: int, progress: Progress) -> None:
    from passerby.pages.compare import compare_page
    from passerby.pages.html import save

    save(path, compare_page(comparison, pictures))
    progress.line(f"written to {path}")

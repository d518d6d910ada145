"""passerby live: cameras, streams and videos watched as they come."""

from __future__ import annotations

from pathlib import Path

import click

from passerby.cli.options import Page, engine_options, models_option, open_page, page_options, threshold_option
from passerby.errors import SettingError


@click.command("live", short_help="Watch cameras, streams and videos: who is there, who crosses, who stays.")
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@models_option
@threshold_option
@click.option(
    "--to",
    "targets",
    multiple=True,
    default=("page",),
    show_default=True,
    metavar="WHAT",
    help="page, page:PORT, FILE.mp4, DIR/ (frames), FILE.jsonl, - (JSON lines on stdout), FILE.csv, none. Repeatable.",
)
@click.option(
    "--line",
    "lines",
    multiple=True,
    metavar="[STREAM:]NAME=x0,y0,x1,y1",
    help="Count who crosses it; shares of the picture, 0 to 1. Seen from its start, in is from left to right.",
)
@click.option(
    "--zone",
    "zones",
    multiple=True,
    metavar="[STREAM:]NAME=x,y,x,y,x,y...",
    help="Count who is in it, and for how long.",
)
@click.option("--scene", type=click.Path(path_type=Path), metavar="FILE.json", help="Lines and zones from a file.")
@click.option("--repeat", is_flag=True, help="Play video files again and again.")
@click.option(
    "--for", "seconds", type=click.FloatRange(min=0, min_open=True), metavar="SECONDS", help="End after that."
)
@click.option(
    "--stale-after",
    type=click.FloatRange(min=0, min_open=True),
    default=2.0,
    show_default=True,
    help="Seconds without a frame after which a source is called stale.",
)
@click.option("--fps", type=click.FloatRange(min=0, min_open=True), help="Results a second and stream, at most.")
@click.option("--heat", is_flag=True, help="Work out where the model looks, for the page.")
@click.option("--keep", type=click.IntRange(min=0), default=1000, show_default=True, help="Frames in DIR/; 0: all.")
@click.option("--log", type=click.Path(path_type=Path), metavar="FILE", help="A log that rotates.")
@click.option(
    "--log-size", type=click.FloatRange(min=0.0001), default=10.0, show_default=True, help="Of a log file, MB."
)
@click.option("--log-keep", type=click.IntRange(min=1), default=5, show_default=True, help="How many old ones stay.")
@click.option("--metrics", metavar="HOST:PORT", help="Numbers for Prometheus there; the page has /metrics.")
@page_options
@engine_options
def command(
    sources: tuple[str, ...],
    models: tuple[str, ...],
    threshold: float | None,
    targets: tuple[str, ...],
    lines: tuple[str, ...],
    zones: tuple[str, ...],
    scene: Path | None,
    repeat: bool,
    seconds: float | None,
    stale_after: float,
    fps: float | None,
    heat: bool,
    keep: int,
    log: Path | None,
    log_size: float,
    log_keep: int,
    metrics: str | None,
    host: str,
    port: int,
    token: str | None,
    cert: Path | None,
    key: Path | None,
    names: tuple[str, ...],
    behind_proxy: bool,
    engine: str,
    threads: int,
) -> None:
    """Watch SOURCE as it comes: a camera ("0", "/dev/video2"), an address ("rtsp://...", "http://..."), or a video file
    played at its own speed. Several may follow; NAME=SOURCE names one.

    The newest frame counts: what the machine has no time for is dropped, so results never fall behind. A source that
    is lost is tried again and again. The run ends with SIGINT or SIGTERM, after --for, or when every file is over; the
    exit code is 11 when a source gave no frames then.
    """
    from contextlib import ExitStack

    from passerby.cli.progress import Progress
    from passerby.live.hub import Hub
    from passerby.live.log import Log, summary
    from passerby.live.metrics import Metrics
    from passerby.live.outputs import Outputs
    from passerby.live.plan import check_sources, name_sources, scenes_for
    from passerby.live.pool import Models
    from passerby.live.run import follow, stopping
    from passerby.live.stream import Stream
    from passerby.media.live import LiveSource

    with_page, page_port, files = _split(targets)
    metrics_at = _address(metrics) if metrics else None
    page = Page.of(host, port if page_port is None else page_port, token, cert, key, names, behind_proxy)
    named = name_sources(sources)
    rates = check_sources(named)
    scenes = scenes_for(list(named), lines, zones, scene)
    progress = Progress()
    hub = Hub()
    with stopping() as stop, ExitStack() as stack:
        offered = Models(models, engine, threads)
        numbers = Metrics(hub, offered) if with_page or metrics_at else None
        outputs = stack.enter_context(Outputs(files, rates, lambda name: hub.streams[name].scene, keep))
        book = stack.enter_context(Log(log, int(log_size * 1e6), log_keep)) if log else None
        for name, uri in named.items():
            source = LiveSource(uri, repeat, stale_after)
            stream = Stream(name, source, offered.pool(), scenes[name], threshold, 1 / fps if fps else 0.0, heat)
            for listener in (outputs.write, book and book.write, numbers and numbers.moment):
                if listener:
                    stream.listen(listener)
            hub.add(stream)
        if with_page and numbers:
            server = stack.enter_context(open_page(hub, offered, numbers, page))
            progress.line(f"page: {page.address(server.url)}")
        if metrics_at and numbers:
            taken = stack.enter_context(numbers.serving(*metrics_at))
            progress.line(f"metrics: http://{metrics_at[0]}:{taken}/metrics")
        try:
            with hub:
                follow(hub, stop, outputs, book, seconds, progress.step)
        finally:
            progress.clear()
            for name, stream in hub.streams.items():
                progress.line(f"{name}: {summary(stream)}")
            if files:
                progress.line(f"written to {outputs}")


def _split(targets: tuple[str, ...]) -> tuple[bool, int | None, list[str]]:
    """Whether there is a page, its port where one is said, and the outputs. Raises SettingError for what is neither."""
    from passerby.live.outputs import kind_of_target

    with_page, port, files = False, None, []
    for target in targets:
        name, colon, number = target.partition(":")
        if name == "page":
            with_page = True
            if colon and not (number.isascii() and number.isdigit() and int(number[:6]) <= 65535):
                raise SettingError(f"--to {target}: '{number}' is no port; want 0 to 65535")
            port = int(number) if colon else port
        elif target != "none":
            kind_of_target(target)
            files.append(target)
    if "none" in targets and len(targets) > 1:
        raise SettingError("--to none: nothing else can be named beside it")
    if twice := next((t for t in files if files.count(t) > 1), None):
        raise SettingError(f"--to {twice}: is named twice")
    return with_page, port, files


def _address(text: str) -> tuple[str, int]:
    """Host and port of "HOST:PORT". Raises SettingError for anything else."""
    host, _, port = text.rpartition(":")
    if not host.strip("[]") or not (port.isascii() and port.isdigit() and int(port[:6]) <= 65535):
        raise SettingError(f"--metrics {text}: want HOST:PORT, e.g. 127.0.0.1:9100")
    return host.strip("[]"), int(port)

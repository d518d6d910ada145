"""passerby serve: the page and the REST interface, with or without streams of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from passerby.cli.options import Page, engine_options, models_option, open_page, page_options, threshold_option
from passerby.errors import SettingError

MIB = 2**20


def limit_options(function: Any) -> Any:
    """--max-body, --max-pixels, --rate, --max-uploads and --max-sockets."""
    options = [
        click.option("--max-body", default=10.0, show_default=True, help="MiB of a picture that is sent."),
        click.option("--max-pixels", default=50.0, show_default=True, help="Millions of pixels of such a picture."),
        click.option("--rate", default=100.0, show_default=True, help="Requests a second and client; 0: no bound."),
        click.option("--max-uploads", default=32, show_default=True, help="Pictures in line; more are told to wait."),
        click.option("--max-sockets", default=32, show_default=True, help="Browsers that watch or send at once."),
    ]
    for option in reversed(options):
        function = option(function)
    return function


@click.command("serve", short_help="A page and a REST interface: pictures, cameras, streams.")
@click.argument("sources", nargs=-1, metavar="[SOURCE...]")
@models_option
@threshold_option
@click.option("--scene", type=click.Path(path_type=Path), metavar="FILE.json", help="Lines and zones of the streams.")
@click.option("--repeat", is_flag=True, help="Play video files again and again.")
@click.option("--workers", default=0, show_default=True, help="Pictures looked at at once; 0: one a core.")
@limit_options
@page_options
@engine_options
def command(
    sources: tuple[str, ...],
    models: tuple[str, ...],
    threshold: float | None,
    scene: Path | None,
    repeat: bool,
    workers: int,
    max_body: float,
    max_pixels: float,
    rate: float,
    max_uploads: int,
    max_sockets: int,
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
    """Serve a page that looks at pictures, videos and the browser's camera, and at each SOURCE: a camera ("0"), an
    address ("rtsp://...") or a video file; NAME=SOURCE names one.

    The same for programs: POST /detect takes a picture and answers as `passerby detect --json` does; /openapi.json
    lists everything. It ends with SIGINT or SIGTERM.
    """
    from contextlib import ExitStack

    from passerby.cli.progress import Progress
    from passerby.live.hub import Hub
    from passerby.live.metrics import Metrics
    from passerby.live.plan import check_sources, name_sources, scenes_for
    from passerby.live.pool import Models
    from passerby.live.run import stopping
    from passerby.live.stream import Stream
    from passerby.media.live import LiveSource
    from passerby.web.limits import Limits

    if threshold is not None and not 0 <= threshold <= 1:
        raise SettingError(f"--threshold is {threshold}, want a number from 0 to 1")
    limits = Limits(
        body=int(max_body * MIB),
        pixels=int(max_pixels * 1e6),
        rate=rate,
        uploads=max_uploads,
        sockets=max_sockets,
    )
    page = Page.of(host, port, token, cert, key, names, behind_proxy)
    named = name_sources(sources)
    check_sources(named)
    scenes = scenes_for(list(named), file=scene)
    offered = Models(models, engine, threads, workers)
    pool = offered.pool()  # now, so that a model that cannot be run is told of now
    hub = Hub()
    numbers = Metrics(hub, offered)
    for name, uri in named.items():
        stream = Stream(name, LiveSource(uri, repeat), pool, scenes[name], threshold)
        stream.listen(numbers.moment)
        hub.add(stream)
    progress = Progress()
    with stopping() as stop, ExitStack() as stack:
        server = stack.enter_context(open_page(hub, offered, numbers, page, limits))
        stack.enter_context(hub)
        progress.line(f"{', '.join(offered.names)} on {pool.detector.engine_name}")
        progress.line(f"page: {page.address(server.url)}")
        told: set[str] = set()
        while not stop.wait(0.5):
            for name, stream in hub.streams.items():
                if stream.error is not None and name not in told:
                    told.add(name)
                    progress.line(f"{name}: {stream.error}")
    progress.line("ended")

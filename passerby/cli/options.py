"""Options that several verbs share."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from passerby.cli.progress import Progress
    from passerby.live.hub import Hub
    from passerby.live.metrics import Metrics
    from passerby.live.pool import Models
    from passerby.records import SampleSet
    from passerby.runtime.detector import Detector
    from passerby.runtime.localiser import Localiser
    from passerby.runtime.tiled import Tiled
    from passerby.web.limits import Limits
    from passerby.web.server import PageServer

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def engine_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """--engine and --threads."""
    engine = click.option(
        "--engine",
        default="auto",
        show_default=True,
        metavar="auto|onnxruntime|openvino|openvino-f32",
        help="What runs the network; auto takes what `passerby tune` chose, else OpenVINO where it is installed.",
    )
    threads = click.option("--threads", default=0, show_default=True, help="Of the engine; 0: as many as it likes.")
    return engine(threads(function))


threshold_option = click.option(
    "--threshold", type=float, help="Report scores from this on (0 to 1); default: the model's own."
)

tiles_option = click.option(
    "--tiles",
    metavar="auto|ACROSSxDOWN",
    help="For small objects in large pictures: look at overlapping tiles too; auto: until no pixel is lost. Slower.",
)


models_option = click.option(
    "--model",
    "models",
    multiple=True,
    default=("head",),
    show_default=True,
    metavar="NAME|FILE",
    help="A shipped model or an .onnx file. May be repeated: the page offers them all, the first is the default.",
)


def page_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Where the page is, and who may see it. `Page` takes them."""
    options = [
        click.option(
            "--host", default="127.0.0.1", show_default=True, help="Where the page listens; 0.0.0.0: everywhere."
        ),
        click.option("--port", default=8080, show_default=True, type=click.IntRange(0, 65535), help="0: any free one."),
        click.option(
            "--token",
            envvar="PASSERBY_TOKEN",
            show_envvar=True,
            help="What a caller must know; made up where the page listens to other machines and none is given.",
        ),
        click.option("--cert", type=click.Path(path_type=Path), help="Certificate (PEM), for https; needs --key."),
        click.option("--key", type=click.Path(path_type=Path), help="Its private key (PEM)."),
        click.option("--name", "names", multiple=True, metavar="HOST", help="A name by which callers know the page."),
        click.option(
            "--behind-proxy", is_flag=True, help="Believe X-Forwarded-For and -Proto of a proxy on this machine."
        ),
    ]
    for option in reversed(options):
        function = option(function)
    return function


@dataclass(frozen=True)
class Page:
    """What `page_options` gave.

    names  host names by which callers know the page, beside `host`
    proxy  whether a proxy on this machine is believed about who calls
    made   whether the token was made up here, so that whoever started the page must be told it
    """

    host: str
    port: int
    token: str | None
    cert: Path | None
    key: Path | None
    names: tuple[str, ...] = ()
    proxy: bool = False
    made: bool = False

    @classmethod
    def of(
        cls,
        host: str,
        port: int,
        token: str | None,
        cert: Path | None,
        key: Path | None,
        names: tuple[str, ...] = (),
        proxy: bool = False,
    ) -> Page:
        """Checked. Raises SettingError for a certificate without its key, or files that are not there."""
        from passerby.errors import SettingError

        if (cert is None) != (key is None):
            raise SettingError("--cert and --key belong together: https needs the certificate and its private key")
        for name, path in (("--cert", cert), ("--key", key)):
            if path is not None and not path.is_file():
                raise SettingError(f"{name} {path}: no such file")
        if token is not None and not token.strip():
            raise SettingError("--token: it is empty; leave it out, or say what a caller must know")
        made = token is None and not is_this_machine(host)
        return cls(host, port, secrets.token_urlsafe(16) if made else token, cert, key, names, proxy, made)

    def address(self, url: str) -> str:
        """The page's address as its owner may be told it: with a token that was made up here."""
        return f"{url.rstrip('/')}/?token={self.token}" if self.made else url


def open_page(hub: Hub, models: Models, metrics: Metrics, page: Page, limits: Limits | None = None) -> PageServer:
    """The page's server, to be entered. Raises MissingExtraError where the extra [serve] is not installed."""
    from passerby.web import need_web

    need_web()
    from passerby.web.app import create_app
    from passerby.web.limits import Limits
    from passerby.web.server import PageServer

    app = create_app(hub, models, metrics, limits or Limits(), page.token, hosts=(page.host, *page.names))
    return PageServer(app, page.host, page.port, page.cert, page.key, page.proxy)


def is_this_machine(host: str) -> bool:
    """Whether only programs of this machine reach what listens at `host`."""
    import ipaddress

    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def data_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """--root and --classes: where data sets are, and which classes of them."""
    root = click.option(
        "--root", type=click.Path(path_type=Path), default=Path(), help="Relative DATA paths start here."
    )
    classes = click.option(
        "--classes", multiple=True, metavar="NAME[=OLD+OLD]", help="Class wanted, in order; may be repeated."
    )
    return root(classes(function))


def tiled(detector: Detector | Localiser, tiles: str | None) -> Detector | Localiser | Tiled:
    """The detector, over tiles where --tiles says so. Raises SettingError for a localiser, and as `parse_grid`."""
    if tiles is None:
        return detector
    from passerby.errors import SettingError
    from passerby.runtime.localiser import Localiser
    from passerby.runtime.tiled import Tiled, parse_grid

    if isinstance(detector, Localiser):
        raise SettingError("--tiles is for detectors; this model localises, over the whole of a picture")
    return Tiled(detector, parse_grid(tiles))


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

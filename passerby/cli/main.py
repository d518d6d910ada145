"""The command `passerby`: its verbs, loaded when named, and how errors end."""

from __future__ import annotations

import os
import sys

import click

from passerby import __version__
from passerby.cli.verbs import Verbs
from passerby.errors import PasserbyError

VERBS = {  # verb: module, in the order of --help
    "detect": "passerby.cli.detect",
    "live": "passerby.cli.live",
    "serve": "passerby.cli.serve",
    "eval": "passerby.cli.eval",
    "compare": "passerby.cli.compare",
    "threshold": "passerby.cli.threshold",
    "info": "passerby.cli.info",
    "explain": "passerby.cli.explain",
    "anchors": "passerby.cli.anchors",
    "train": "passerby.cli.train",
    "export": "passerby.cli.export",
    "quantise": "passerby.cli.quantise",
    "parity": "passerby.cli.parity",
    "tune": "passerby.cli.tune",
    "prelabel": "passerby.cli.prelabel",
    "data": "passerby.cli.data",
}


@click.group(cls=Verbs, table=VERBS, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="passerby")
def main() -> None:
    """Find people in pictures and video: where they are, never who they are.

    Exit codes: 0 done; 1 other; 2 a wrong setting; 3 a source, 4 a data set, 5 a model that cannot be read;
    6 a target that cannot be written; 7 an extra that is not installed; 8 training, 9 export that failed;
    10 errors found by `data check`; 11 a live source that was stale at the end; 12 too much work at once.
    """


def run() -> None:
    """Entry point: an error on purpose is one line on stderr and its exit code."""
    try:
        # Not main(): it would end a broken pipe with 1, and be called by the name of the file that runs it.
        with main.make_context("passerby", sys.argv[1:]) as context:
            main.invoke(context)
    except PasserbyError as e:
        click.echo(f"passerby: {e}", err=True)
        sys.exit(e.exit_code)
    except click.exceptions.Exit as e:
        sys.exit(e.exit_code)
    except click.exceptions.NoArgsIsHelpError as e:
        e.show()
        sys.exit(e.exit_code)
    except click.ClickException as e:
        click.echo(f"passerby: {' '.join(e.format_message().split())}", err=True)
        sys.exit(e.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("passerby: stopped", err=True)
        sys.exit(130)
    except BrokenPipeError:  # `passerby detect --json | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)


def entry() -> None:
    """What the command calls: `run`, and then out, without the 0.1 s in which Python takes engines and OpenCV apart.

    By then every file is closed. Where torch is loaded its worker processes are ended in the usual way.
    """
    code: object = 0
    try:
        run()
    except SystemExit as e:
        code = e.code
    if "torch" in sys.modules:
        sys.exit(code if isinstance(code, int) else 1)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            code = code or 141
    os._exit(code if isinstance(code, int) else 0 if code is None else 1)


if __name__ == "__main__":
    entry()

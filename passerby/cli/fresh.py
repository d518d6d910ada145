"""A model alone in a process that has just begun: `passerby compare` starts this to see memory and cold start."""

from __future__ import annotations

import json
import sys
from typing import Any


def main() -> None:
    """One line of JSON on stdin, what `request_of` of cli/compare makes; steps on stdout."""
    from passerby.errors import PasserbyError
    from passerby.measure.fresh import answer_fresh

    request: dict[str, Any] = json.loads(sys.stdin.readline())
    try:
        answer_fresh(request, lambda: _open(request))
    except PasserbyError as e:
        sys.exit(f"{e}")


def _open(request: dict[str, Any]) -> Any:
    from passerby.cli.compare import open_model
    from passerby.runtime.open import Word

    return open_model(Word(**request["word"]), **request["settings"])


if __name__ == "__main__":
    main()

"""Progress on stderr: one line that is written over on a terminal, now and then a line elsewhere."""

from __future__ import annotations

import os
import sys
import time


class Progress:
    """`line` stays; `step` may be written over by the next, and is not printed more often than needed."""

    def __init__(self) -> None:
        self.terminal = sys.stderr.isatty()
        self.pause = 0.2 if self.terminal else 30.0
        self.last = time.monotonic()
        self.open = False

    def line(self, text: str) -> None:
        self.clear()
        print(text, file=sys.stderr, flush=True)

    def step(self, text: str) -> None:
        now = time.monotonic()
        if now - self.last < self.pause:
            return
        self.last = now
        if self.terminal:
            width = _columns() - 1
            print(f"\r{text[:width]:<{width}}", end="", file=sys.stderr, flush=True)
            self.open = True
        else:
            print(text, file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Take the overwritten line away."""
        if self.open:
            width = _columns() - 1
            print(f"\r{'':<{width}}\r", end="", file=sys.stderr, flush=True)
            self.open = False


def _columns() -> int:
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns
    except OSError:
        return 80

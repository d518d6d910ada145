"""Large JSON files read piece by piece, so that only one element is in memory as Python objects at a time."""

from __future__ import annotations

import json
import re
import reprlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from passerby.errors import DataError

_SPACE = re.compile(r"[ \t\r\n]*")
_decode = json.JSONDecoder().raw_decode


class JsonFile:
    """A JSON file whose outermost value is an object or a list.

    The bytes are held as text of one byte a character whatever their encoding (latin-1), so that the memory is the
    file's size; `text_of` gives a string of the file back as UTF-8.
    Raises DataError naming file and line where it is not JSON.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.text = path.read_bytes().removeprefix(b"\xef\xbb\xbf").decode("latin-1")
        except OSError as e:
            raise DataError(f"{path}: cannot be read ({e.strerror or e})") from e
        self.start = self._skip(0)

    def is_object(self) -> bool:
        """Whether the outermost value is an object."""
        return self.text[self.start : self.start + 1] == "{"

    def is_list(self) -> bool:
        """Whether the outermost value is a list."""
        return self.text[self.start : self.start + 1] == "["

    def lists(self) -> Iterator[tuple[str, int, Any, int]]:
        """Every element of every list that is a member of the outermost object: key, number, value, line.

        A member that is no list comes as (key, -1, value, line). The line is where the element starts, from 1.
        """
        at = self._skip(self.start + 1)
        lines = Lines(self.text)
        if self._peek(at) == "}":
            self._end(at + 1)
            return
        while True:
            key, at = self._value(at)
            if not isinstance(key, str):
                raise self._wrong("a key is no text", at)
            at = self._skip(at)
            if self._peek(at) != ":":
                raise self._wrong("no colon after a key", at)
            at = self._skip(at + 1)
            if self._peek(at) == "[":
                for number, value, line, end in self._elements(at, lines):
                    if number >= 0:
                        yield key, number, value, line
                    at = end
            else:
                line = lines.at(at)
                value, at = self._value(at)
                yield key, -1, value, line
            at = self._skip(at)
            if self._peek(at) == "}":
                self._end(at + 1)
                return
            if self._peek(at) != ",":
                raise self._wrong("neither a comma nor the end of the object", at)
            at = self._skip(at + 1)

    def elements(self) -> Iterator[tuple[int, Any, int]]:
        """Every element of the outermost list: number, value, line."""
        end = self.start
        for number, value, line, end in self._elements(self.start, Lines(self.text)):  # noqa: B007 (used below)
            if number >= 0:
                yield number, value, line
        self._end(end)

    def _elements(self, at: int, lines: Lines) -> Iterator[tuple[int, Any, int, int]]:
        """Number, value, line and end of each element of the list at `at`; at last (-1, None, 0, end of the list)."""
        at = self._skip(at + 1)
        number = 0
        while self._peek(at) != "]":
            if number:
                if self._peek(at) != ",":
                    raise self._wrong("neither a comma nor the end of the list", at)
                at = self._skip(at + 1)
            line = lines.at(at)
            value, end = self._value(at)
            yield number, value, line, end
            at = self._skip(end)
            number += 1
        yield -1, None, 0, at + 1

    def _value(self, at: int) -> tuple[Any, int]:
        try:
            return _decode(self.text, at)
        except RecursionError as e:
            raise self._wrong("brackets nested too deeply", at) from e
        except json.JSONDecodeError as e:
            raise self._wrong(e.msg, e.pos) from e
        except ValueError as e:  # a number of thousands of digits
            raise self._wrong(str(e), at) from e

    def _skip(self, at: int) -> int:
        found = _SPACE.match(self.text, at)
        return found.end() if found else at

    def _peek(self, at: int) -> str:
        return self.text[at : at + 1]

    def _end(self, at: int) -> None:
        if self._skip(at) != len(self.text):
            raise self._wrong("something follows the end", at)

    def _wrong(self, text: str, at: int) -> DataError:
        line = self.text.count("\n", 0, at) + 1
        column = at - self.text.rfind("\n", 0, at)
        return DataError(f"{self.path}: not readable JSON: {text} (line {line}, column {column})")


class Lines:
    """Line numbers of growing positions, counted once from start to end."""

    def __init__(self, text: str) -> None:
        self.text, self.line, self.last = text, 1, 0

    def at(self, position: int) -> int:
        """The line of a position that is not before the last one asked for."""
        self.line += self.text.count("\n", self.last, position)
        self.last = position
        return self.line


def text_of(value: Any) -> str:
    """A string of a JsonFile as it was meant: its bytes as UTF-8 (or as they are, where they are not UTF-8).

    A value of another type is shown, cut short.
    """
    if not isinstance(value, str):
        return reprlib.repr(value)
    try:
        return value.encode("latin-1").decode("utf-8")
    except (UnicodeEncodeError, UnicodeDecodeError):  # \\u escapes hold more than latin-1; and a file in latin-1
        return value


def four(value: Any) -> tuple[float, float, float, float]:
    """Four numbers, x y width height, of a list in JSON. Raises DataError that shows any other value."""
    try:
        if not isinstance(value, list):
            raise TypeError
        x, y, w, h = (float(v) for v in value)
    except (TypeError, ValueError, OverflowError) as e:
        raise DataError(f"is {reprlib.repr(value)}, want [x, y, width, height]") from e
    return x, y, w, h

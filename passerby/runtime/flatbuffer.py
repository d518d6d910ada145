"""Flatbuffers read table by table: files of TFLite and ExecuTorch need no package of their own to be looked into."""

from __future__ import annotations

import struct
from collections.abc import Iterator


class Table:
    """A table of a flatbuffer (flatbuffers.dev, "Internals"): fields by number, each there or not."""

    def __init__(self, data: bytes, at: int) -> None:
        self.data, self.at = data, at
        self.fields = at - struct.unpack_from("<i", data, at)[0]
        self.length: int = struct.unpack_from("<H", data, self.fields)[0]

    def place(self, number: int) -> int:
        """Where a field lies; 0 where it is left out."""
        entry = 4 + 2 * number
        offset: int = struct.unpack_from("<H", self.data, self.fields + entry)[0] if entry < self.length else 0
        return self.at + offset if offset else 0

    def number(self, number: int, form: str, default: int = 0) -> int:
        """A field that is a number, by its form in `struct`."""
        place = self.place(number)
        return int(struct.unpack_from(form, self.data, place)[0]) if place else default

    def vector(self, number: int) -> tuple[int, int]:
        """Where a vector's elements begin, and how many there are."""
        place = self.place(number)
        if not place:
            return 0, 0
        start = place + struct.unpack_from("<I", self.data, place)[0]
        return start + 4, struct.unpack_from("<I", self.data, start)[0]

    def numbers(self, number: int) -> tuple[int, ...]:
        """A vector of 32-bit integers."""
        start, count = self.vector(number)
        return struct.unpack_from(f"<{count}i", self.data, start)

    def content(self, number: int) -> bytes:
        """A vector of bytes."""
        start, count = self.vector(number)
        return self.data[start : start + count]

    def text(self, number: int) -> str:
        """A text."""
        return self.content(number).decode("utf-8")

    def table(self, number: int) -> Table | None:
        """A field that is a table; None where it is left out."""
        place = self.place(number)
        return Table(self.data, place + struct.unpack_from("<I", self.data, place)[0]) if place else None

    def tables(self, number: int) -> Iterator[Table]:
        """A vector of tables."""
        start, count = self.vector(number)
        for k in range(start, start + 4 * count, 4):
            yield Table(self.data, k + struct.unpack_from("<I", self.data, k)[0])

    def union(self, number: int) -> tuple[int, Table]:
        """A field that is one of several tables: which, from 1, and it. Raises ValueError where it is left out."""
        table = self.table(number + 1)  # the field before it says which
        if table is None:
            raise ValueError("a union holds nothing")
        return self.number(number, "<B"), table


def root(data: bytes) -> Table:
    """The table that a file's first word points to. Raises struct.error for one cut short."""
    return Table(data, struct.unpack_from("<I", data)[0])

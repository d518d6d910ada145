"""The notes of a data set while it is read: in order, and no more of a kind than can be of use."""

from __future__ import annotations

from collections import Counter

from passerby.data.listing import MOST_NOTES, Listing, printable
from passerby.records import Note

Order = tuple[int, int]  # of a note: number of the picture, number of the object


class Notes:
    """Notes in the order of pictures and objects; of each kind MOST_NOTES are kept, and the rest are counted."""

    def __init__(self, listing: Listing) -> None:
        self.rows: list[tuple[Order, Note]] = [((-1, -1), n) for n in listing.notes]
        self.made = Counter(n.kind for n in listing.notes)
        self.told = Counter(listing.told)  # the things that the notes of a kind stand for

    def add(self, order: Order, note: Note) -> None:
        """Add a note of picture and object number `order`."""
        self.told[note.kind] += note.count
        self.made[note.kind] += 1
        if self.made[note.kind] <= MOST_NOTES:
            self.rows.append((order, note))

    def room(self, kind: str, wanted: int) -> int:
        """How many of the `wanted` notes of a kind are to be made; the others are counted here and now."""
        room = min(max(0, MOST_NOTES - self.made[kind]), wanted)
        self.told[kind] += wanted - room
        return room

    def first(self) -> str:
        """The first one, for the message that nothing is left."""
        note = min(self.rows, key=lambda n: n[0])[1] if self.rows else None
        return f"; the first: {printable(note.file)}: {note.text}" if note else ""

    def all(self, source: str) -> tuple[Note, ...]:
        """All of them in order, and a note for those of each kind that were only counted."""
        self.rows.sort(key=lambda n: n[0])
        notes = [n for _, n in self.rows]
        kept: Counter[str] = Counter()
        for note in notes:
            kept[note.kind] += note.count
        more = [(kind, n - kept[kind]) for kind, n in self.told.items() if n > kept[kind]]
        return (*notes, *(Note(kind, source, -1, f"and {n:,} more like these", count=n) for kind, n in more))

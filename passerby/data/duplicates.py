"""Which pictures are the same, and which are nearly the same: copies at another size, quality or brightness."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from passerby.data.look import Look

HASH_APART = 12  # bits of 63 in which two hashes may differ; see docs/decisions/0006
LIKENESS = 0.7  # least correlation of the two small pictures
Pair = tuple[int, int]


def same_pairs(looks: Sequence[Look]) -> list[list[int]]:
    """Groups of pictures whose files are the same byte for byte, as numbers into `looks`; each of at least two."""
    groups: dict[bytes, list[int]] = defaultdict(list)
    for i, seen in enumerate(looks):
        if seen.digest:
            groups[seen.digest].append(i)
    return [g for g in groups.values() if len(g) > 1]


def near_pairs(looks: Sequence[Look]) -> list[tuple[int, int, float]]:
    """Pairs that look nearly the same: i, j (i < j, into `looks`) and their likeness, 0.7 to 1; most alike first.

    Two pictures are a pair when their hashes differ in at most HASH_APART bits and the correlation of their small
    grey versions is at least LIKENESS. All pairs are compared, so nothing is missed by chance; pictures that are the
    same byte for byte are pairs too. Mirrored and strongly cropped copies are not found.
    """
    known = [i for i, seen in enumerate(looks) if seen.small is not None]
    if len(known) < 2:
        return []
    small = np.stack([looks[i].small for i in known]).astype(np.float32)  # type: ignore[misc]
    hashes = np.array([looks[i].hash for i in known], np.uint64)
    flat = small.reshape(len(known), -1)
    flat -= flat.mean(axis=1, keepdims=True)
    length = np.linalg.norm(flat, axis=1, keepdims=True)
    flat /= np.maximum(length, 1e-6)
    flat[length[:, 0] < 1] = 0  # one grey all over is like nothing
    out = []
    for a in range(len(known) - 1):
        near = np.flatnonzero(np.bitwise_count(hashes[a + 1 :] ^ hashes[a]) <= HASH_APART) + a + 1
        if len(near):
            alike = flat[near] @ flat[a]
            out += [(known[a], known[b], float(v)) for b, v in zip(near, alike, strict=True) if v >= LIKENESS]
    return sorted(out, key=lambda row: (-row[2], row[0], row[1]))


def groups(count: int, pairs: Sequence[Pair]) -> list[list[int]]:
    """Numbers 0 ... count - 1 in groups that pairs join, in order of their first member; alone: a group of one."""
    parent = list(range(count))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for a, b in pairs:
        a, b = root(a), root(b)
        parent[max(a, b)] = min(a, b)
    out: dict[int, list[int]] = defaultdict(list)
    for i in range(count):
        out[root(i)].append(i)
    return list(out.values())

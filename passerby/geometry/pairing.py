"""Pairs of rows and columns of least total cost: who is who, when every one has at most one partner."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def pair_up(gain: ArrayLike, least: float = 0.0) -> list[tuple[int, int]]:
    """Pairs (row, column) of the largest total gain, each row and column in at most one.

    gain   (N, M), e.g. IoU
    least  a pair of less gain is never made, and one of exactly 0 never either

    Shortest augmenting paths, as in Jonker and Volgenant 1987, "A shortest augmenting path algorithm for dense and
    sparse linear assignment problems": O(N^2 M), exact.
    """
    table = np.asarray(gain, np.float64)
    if table.size == 0:
        return []
    allowed = (table >= least) & (table > 0)
    first, second = (side.tolist() for side in allowed.nonzero())
    if len(set(first)) == len(set(second)) == len(first):  # nobody wants what another wants
        return list(zip(first, second, strict=True))
    rivals = allowed & ((allowed.sum(axis=1) > 1)[:, None] | (allowed.sum(axis=0) > 1)[None, :])
    alone = [(int(r), int(c)) for r, c in np.argwhere(allowed & ~rivals)]  # nobody else wants either: they are a pair
    rows, columns = np.flatnonzero(rivals.any(axis=1)), np.flatnonzero(rivals.any(axis=0))
    allowed, table = allowed[np.ix_(rows, columns)], table[np.ix_(rows, columns)]
    cost = np.where(allowed, -table, 0.0)  # a pair that is not allowed gains nothing: it is made, and left out below
    turned = cost.shape[0] > cost.shape[1]
    chosen = _assign(cost.T if turned else cost)
    pairs = [(c, r) if turned else (r, c) for r, c in enumerate(chosen.tolist())]
    return sorted([*alone, *((int(rows[r]), int(columns[c])) for r, c in pairs if allowed[r, c])])


def _assign(cost: NDArray[np.float64]) -> NDArray[np.int64]:
    """The column of each row, all rows assigned, of least total cost; (N, M) with N <= M."""
    rows, columns = cost.shape
    price = np.zeros(columns + 1)  # of each column; the last stands for "none yet"
    reward = np.zeros(rows)
    owner = np.full(columns + 1, -1)
    for row in range(rows):
        owner[columns], at = row, columns
        shortest = np.full(columns, np.inf)
        came_from = np.full(columns, columns)
        done = np.zeros(columns + 1, bool)
        while owner[at] != -1:
            done[at] = True
            i = owner[at]
            reach = cost[i] - reward[i] - price[:columns]
            better = ~done[:columns] & (reach < shortest)
            shortest[better], came_from[better] = reach[better], at
            open_ = np.where(done[:columns], np.inf, shortest)
            nearest = int(open_.argmin())
            step = open_[nearest]
            seen = np.flatnonzero(done)
            reward[owner[seen]] += step
            price[seen] -= step
            shortest[~done[:columns]] -= step
            at = nearest
        while at != columns:
            before = int(came_from[at])
            owner[at], at = owner[before], before
    chosen = np.full(rows, -1)
    for column in range(columns):
        if owner[column] >= 0:
            chosen[owner[column]] = column
    return chosen

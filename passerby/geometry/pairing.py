"""Pairs of rows and columns of least total cost: who is who, when every one has at most one partner."""

from __future__ import annotations

from collections import Counter

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
    of_row, of_column = Counter(first), Counter(second)
    alone: list[tuple[int, int]] = []  # nobody else wants either: they are a pair
    rivals: set[tuple[int, int]] = set()
    for pair in zip(first, second, strict=True):
        if of_row[pair[0]] == of_column[pair[1]] == 1:
            alone.append(pair)
        else:
            rivals.add(pair)
    rows, columns = (sorted(set(side)) for side in zip(*rivals, strict=True))
    cost = -table.take(rows, axis=0).take(columns, axis=1)
    cost[~allowed.take(rows, axis=0).take(columns, axis=1)] = 0.0  # such a pair gains nothing: made, and left out below
    turned = cost.shape[0] > cost.shape[1]
    chosen = enumerate(_assign(cost.T if turned else cost).tolist())
    made = [(rows[c], columns[r]) if turned else (rows[r], columns[c]) for r, c in chosen]
    return sorted([*alone, *(pair for pair in made if pair in rivals)])


def _assign(cost: NDArray[np.float64]) -> NDArray[np.int64]:
    """The column of each row, all rows assigned, of least total cost; (N, M) with N <= M."""
    rows, columns = cost.shape
    if rows == 1:
        return np.asarray(cost.argmin(axis=1))
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

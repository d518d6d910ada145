"""Pictures held out of training: which, and what is chosen on them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from passerby.data.cache import Teller
from passerby.data.duplicates import groups, near_pairs
from passerby.data.look import look_at_all
from passerby.measure.localisation import THRESHOLDS, halve
from passerby.measure.localiser_report import evaluate_localiser
from passerby.measure.picture_labels import HOLDS, HOLDS_NOT, UNKNOWN, PictureSet
from passerby.records import Floats, SampleSet
from passerby.runtime.localiser import Localiser


def hold_out(samples: SampleSet, outputs: Sequence[int], share: float, seed: int, tell: Teller) -> NDArray[np.bool_]:
    """(N,) which pictures are held out: about `share` of each class, at least one, drawn by `seed`.

    outputs  of each picture, 0 the background

    Pictures that look nearly the same (`data.duplicates`), and parts of one picture, stay together, so that what
    validates was not trained on; where that leaves a class with none, its pictures are divided all the same.
    """
    paths = list(dict.fromkeys(s.path for s in samples))
    seen = look_at_all(paths, lambda done, total: tell.step(f"held out: {done}/{total} pictures looked at"))
    together = groups(len(paths), [(a, b) for a, b, _ in near_pairs([seen[p] for p in paths])])
    of_path = {paths[i]: g for g, members in enumerate(together) for i in members}
    rows: dict[int, list[int]] = {}
    for i, s in enumerate(samples):
        rows.setdefault(of_path[s.path], []).append(i)
    wanted = {k: max(1, round(share * list(outputs).count(k))) for k in set(outputs)}
    held = np.zeros(len(samples), bool)
    order = sorted(rows.values(), key=lambda members: str(samples[members[0]].path))
    rng = np.random.default_rng(seed)
    for g in rng.permutation(len(order)):
        members = order[int(g)]
        counts = Counter(outputs[i] for i in members)
        if all(wanted[k] >= n for k, n in counts.items()):
            held[members] = True
            wanted = {k: n - counts[k] for k, n in wanted.items()}
    for k in wanted:
        mine = [i for i in rng.permutation(len(samples)).tolist() if outputs[i] == k]
        if not held[mine].any():
            held[mine[: wanted[k]]] = True
            tell.line("warning: nearly all pictures of a class look the same, so copies both train and validate")
    return held


def told_of_both(train_set: SampleSet, val_set: SampleSet) -> str:
    """How many pictures that validate are of those that train, e.g. "3 of 40"; "" where none is."""
    learnt = {s.path.resolve() for s in train_set}
    both = sum(s.path.resolve() in learnt for s in val_set)
    return f"{both} of {len(val_set)}" if both else ""


def picture_set(samples: SampleSet) -> PictureSet:
    """Labelled samples for judging; where a picture holds a class, its boxes are known if it has any."""
    holds = np.full((len(samples), len(samples.labels)), HOLDS_NOT, np.int8)
    located = np.zeros(len(samples), bool)
    for i, s in enumerate(samples):
        if s.label is not None:
            holds[i, s.label] = HOLDS
        located[i] = s.label is None or bool((~s.truth.ignore & ~s.truth.difficult).any())
    return PictureSet(replace(samples, samples=tuple(replace(s, label=None) for s in samples)), holds, located)


def choose_threshold(scores: Floats, holds: NDArray[np.int8]) -> float:
    """The score from which on a picture is said to hold a label: the most claims right; of several the nearest 0.5.

    scores (P, C), 0..1; holds (P, C) as in `PictureSet`; between two scores the middle counts
    """
    known = holds != UNKNOWN
    values, truth = scores[known].astype(np.float64), holds[known] == HOLDS
    steps = np.unique(values)
    candidates = np.array([0.5, *(steps[1:] + steps[:-1]) / 2])
    right = ((values[None] >= candidates[:, None]) == truth).mean(axis=1)
    best = candidates[right == right.max()]
    return round(float(best[np.abs(best - 0.5).argmin()]), 4)


def choose_map_threshold(localiser: Localiser, pictures: PictureSet) -> tuple[dict[str, float], dict[str, Any]]:
    """The share of the map's range best on one half of the boxes that are known, and how good it is on the other.

    returns  {"map_threshold": share} and what a model's provenance says of it; both empty where under two pictures
             have known boxes
    """
    boxed = [i for i, known in enumerate(pictures.located) if known and (pictures.holds[i] == HOLDS).any()]
    if len(boxed) < 2:
        return {}, {}
    first = halve(len(boxed), 0)
    one, other = ([boxed[i] for i in np.flatnonzero(part)] for part in (first, ~first))
    share = evaluate_localiser(localiser, _part(pictures, one), metrics=()).maps["best_map_threshold"]
    curve = evaluate_localiser(localiser, _part(pictures, other), metrics=()).curve
    score = float(curve[:, int(np.abs(THRESHOLDS - share).argmin())].mean())
    rule = f"best BoxAcc (mean of IoU 0.3, 0.5, 0.7) on {len(one)} held-out pictures with boxes"
    return {"map_threshold": round(share, 2)}, {
        "map_threshold_rule": rule,
        "box_acc": f"{score:.4f} on the {len(other)} other held-out pictures with boxes",
    }


def _part(pictures: PictureSet, rows: Sequence[int]) -> PictureSet:
    samples = replace(pictures.samples, samples=tuple(pictures.samples[i] for i in rows))
    return PictureSet(samples, pictures.holds[list(rows)], pictures.located[list(rows)])

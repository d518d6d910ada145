"""Same and nearly the same pictures: what counts as a copy, and what does not."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from passerby.data.duplicates import groups, near_pairs, same_pairs
from passerby.data.look import look


def scene(seed, width=320, height=200):
    small = np.random.default_rng(seed).integers(0, 256, (12, 16, 3), np.uint8)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)


@pytest.fixture
def seen(tmp_path):
    """Looks at pixels written as JPEG of a quality."""
    count = iter(range(1000))

    def see(pixels, quality=95, suffix=".jpg"):
        path = tmp_path / f"{next(count)}{suffix}"
        cv2.imwrite(str(path), pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality] if suffix == ".jpg" else [])
        return look(path)

    return see


def pairs(looks):
    return {(a, b) for a, b, _ in near_pairs(looks)}


@pytest.mark.parametrize(
    "change",
    [
        lambda p: cv2.resize(p, (160, 100), interpolation=cv2.INTER_AREA),
        lambda p: cv2.resize(p, (300, 300)),
        lambda p: np.clip(p.astype(int) + 25, 0, 255).astype(np.uint8),
        lambda p: np.clip((p.astype(int) - 128) * 0.8 + 128, 0, 255).astype(np.uint8),
        lambda p: cv2.GaussianBlur(p, (5, 5), 0),
        lambda p: np.repeat(cv2.cvtColor(p, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2),
    ],
    ids=["half", "stretched", "brighter", "flatter", "blurred", "grey"],
)
def test_a_changed_copy_is_nearly_the_same(seen, change):
    looks = [seen(scene(0)), seen(change(scene(0)), quality=60), seen(scene(1))]
    assert pairs(looks) == {(0, 1)}
    assert same_pairs(looks) == []


def test_other_pictures_are_not_alike(seen):
    assert near_pairs([seen(scene(k)) for k in range(30)]) == []


def test_the_same_file_is_both(seen):
    looks = [seen(scene(0)), seen(scene(1)), seen(scene(0)), seen(scene(0))]
    assert same_pairs(looks) == [[0, 2, 3]]
    assert pairs(looks) == {(0, 2), (0, 3), (2, 3)}
    assert all(v == pytest.approx(1, abs=1e-5) for *_, v in near_pairs(looks))


def test_plain_grey_pictures_are_like_nothing(seen):
    assert near_pairs([seen(np.full((50, 50, 3), v, np.uint8)) for v in (0, 90, 90, 255)]) == []


def test_unreadable_pictures_are_passed_over(seen, tmp_path):
    looks = [look(tmp_path / "gone.jpg"), seen(scene(0)), look(tmp_path / "gone.jpg"), seen(scene(0))]
    assert pairs(looks) == {(1, 3)}
    assert same_pairs(looks) == [[1, 3]]
    assert near_pairs([]) == near_pairs(looks[:1]) == []


def test_the_most_alike_pair_comes_first(seen):
    looks = [seen(scene(0)), seen(cv2.GaussianBlur(scene(0), (31, 31), 0)), seen(scene(0), quality=94)]
    found = near_pairs(looks)
    assert found[0][:2] == (0, 2)
    assert [v for *_, v in found] == sorted((v for *_, v in found), reverse=True)


def test_groups_join_what_pairs_join():
    assert groups(6, [(4, 1), (1, 5), (2, 3)]) == [[0], [1, 4, 5], [2, 3]]
    assert groups(3, []) == [[0], [1], [2]]
    assert groups(0, []) == []
    chain = [(i, i + 1) for i in range(5000)]
    assert groups(5001, chain[::-1]) == [list(range(5001))]

"""Every script in examples/ runs, and says what it should."""

import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np

ROOT = Path(__file__).resolve().parent.parent.parent
PICTURES = sorted((ROOT / "examples" / "pictures").glob("*.jpg"))


def run(name: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / name), *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_count_heads_says_a_number_for_each_portrait():
    astronaut, hopper = run("count_heads.py", *map(str, PICTURES)).splitlines()
    assert "astronaut.jpg: " in astronaut
    assert re.search(r"grace_hopper\.jpg: 1 heads?,", hopper)


def test_any_callable_can_be_judged(tmp_path):
    picture = np.zeros((60, 80, 3), np.uint8)
    picture[10:30, 20:40] = 255
    cv2.imwrite(str(tmp_path / "a.png"), picture)
    (tmp_path / "truth.json").write_text(
        '{"images": [{"id": 1, "file_name": "a.png", "width": 80, "height": 60}],'
        '"annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [20, 10, 20, 20]}],'
        '"categories": [{"id": 1, "name": "lamp"}]}'
    )
    text = run("judge_any_detector.py", f"coco:{tmp_path / 'truth.json'}")
    assert "AP50, VOC area (2010+)            1.0000" in text


def test_every_example_is_run_here():
    mentioned = Path(__file__).read_text(encoding="utf-8")
    assert all(f'run("{p.name}"' in mentioned for p in (ROOT / "examples").glob("*.py"))

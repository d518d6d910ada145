"""Count the heads in pictures: python examples/count_heads.py PICTURE..."""

import sys

import passerby

detector = passerby.Detector()
for path in sys.argv[1:]:
    found = detector(path)
    print(f"{path}: {len(found)} heads, best score {found.scores.max(initial=0):.2f}")

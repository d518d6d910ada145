"""What `head`'s false alarms on val_B are, down to one a picture: boxes that lie beside, or heads that labels lack.

A false alarm overlaps no head of its own by IoU 0.5. Where it overlaps none by 0.1, it was looked at without its score:
"head", "none" or "unclear" in results/false_alarms_verdicts.json, best score first, as far as FALSE ALARMS of the table
go. Another model's boxes lie elsewhere: the verdicts are of the `head` that stands in the table.
python benchmarks/false_alarms.py --root DIR [--sheets FOLDER]      DIR holds scut_head; FOLDER gets the crops
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path

import cv2
import numpy as np
from common import RESULTS, save

from passerby import Detector, load_data
from passerby.geometry.boxes import iou
from passerby.measure.evaluate import judge
from passerby.measure.matches import Matches
from passerby.measure.miss_rate import miss_at
from passerby.measure.one_to_one import DROPPED, MISS
from passerby.pictures import read_picture
from passerby.runtime.model_file import find_model

FLOOR = 0.01
RULE = "greedy"  # that of MR^-2: `measure.miss_rate`
VERDICTS = RESULTS / "false_alarms_verdicts.json"
SIDE, ACROSS = 180, 8  # of a crop, pixels; crops in a row


def alarms_of(run):
    """Every detection's place: (key, picture, box, highest IoU with any head), in the order of the matches."""
    matches = run.judged.matches(0, RULE)
    taken = np.zeros(matches.pictures, int)
    places = []
    for picture in matches.picture:
        pair = run.judged.pairs[picture]
        box = pair.found.boxes[np.argsort(-pair.found.scores, kind="stable")[taken[picture]]]
        taken[picture] += 1
        near = iou(box[None], pair.truth.boxes).max(initial=0.0) if len(pair.truth.boxes) else 0.0
        key = " ".join([pair.name, *(f"{v:.0f}" for v in box)])
        places.append((key, int(picture), box, float(near)))
    return matches, places


def kind_of(key: str, near: float, verdicts: dict[str, str]) -> str:
    if near >= 0.5:
        return "a second box on a head"
    if near >= 0.1:
        return "a box beside its head, IoU 0.1 to 0.5"
    return {
        "head": "a head that labels lack",
        "none": "no head",
        "unclear": "nothing labelled there, unclear by eye",
    }.get(verdicts.get(key, ""), "nothing labelled there, not looked at")


def write_sheets(folder: Path, samples, places, outcome) -> None:
    """Crops of the false alarms where nothing is labelled, best first, with labels in green."""
    folder.mkdir(parents=True, exist_ok=True)
    crops = []
    for (key, picture, box, near), what in zip(places, outcome, strict=True):
        if what != MISS or near >= 0.1 or len(crops) == 240:
            continue
        pixels = cv2.cvtColor(read_picture(samples.samples[picture].path), cv2.COLOR_RGB2BGR)
        scale = SIDE / (3 * max(box[2] - box[0], box[3] - box[1]))
        large = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
        for other, colour in [*((b, (0, 255, 0)) for b in samples.samples[picture].truth.boxes), (box, (0, 0, 255))]:
            corners = [int(v * scale) for v in other]
            cv2.rectangle(large, tuple(corners[:2]), tuple(corners[2:]), colour, 1)
        large = cv2.copyMakeBorder(large, SIDE, SIDE, SIDE, SIDE, cv2.BORDER_CONSTANT)
        x, y = (int((box[k] + box[k + 2]) / 2 * scale) + SIDE // 2 for k in (0, 1))
        crops.append(large[y : y + SIDE, x : x + SIDE])
        print(len(crops) - 1, key)
    for k in range(0, len(crops), 5 * ACROSS):
        part = crops[k : k + 5 * ACROSS]
        part += [np.zeros_like(part[0])] * (-len(part) % ACROSS)
        rows = [np.hstack(part[i : i + ACROSS]) for i in range(0, len(part), ACROSS)]
        cv2.imwrite(str(folder / f"alarms_{k}.png"), np.vstack(rows))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--sheets", type=Path)
    given = parser.parse_args()
    samples = load_data("voc:scut_head#val_B", ("head",), given.root)
    run = judge(Detector("head", threshold=FLOOR, engine="onnxruntime", threads=1), samples)
    matches, places = alarms_of(run)
    if given.sheets:
        write_sheets(given.sheets, samples, places, matches.outcome)
        return
    verdicts = json.loads(VERDICTS.read_text())
    weights = hashlib.sha256(find_model("head").read_bytes()).hexdigest()
    if verdicts["model_sha256"] != weights:
        raise SystemExit("the verdicts are of another head; look again: --sheets FOLDER")
    alarms = np.flatnonzero(matches.outcome == MISS)[: matches.pictures]
    kinds = [kind_of(places[k][0], places[k][3], verdicts["boxes"]) for k in alarms]
    rows: list[dict[str, object]] = [
        {"false alarms": kind, "of them": kinds.count(kind), "share": f"{kinds.count(kind) / len(kinds):.0%}"}
        for kind in sorted(set(kinds), key=lambda kind: -kinds.count(kind))
    ]
    for words, least, excuse in (
        ("as labelled, IoU 0.5", 0.5, False),
        ("heads that labels lack excused", 0.5, True),
        ("as labelled, IoU 0.3", 0.3, False),
        ("IoU 0.3, heads that labels lack excused", 0.3, True),
    ):
        judged = run.judged.matches(0, RULE, least)  # in the order of `places`, whatever the IoU
        lacking = [excuse and verdicts["boxes"].get(key) == "head" for key, *_ in places]
        outcome = np.where(np.array(lacking) & (judged.outcome == MISS), DROPPED, judged.outcome).astype(np.int8)
        missed = miss_at(Matches(judged.scores, outcome, judged.picture, judged.objects_in), 1.0)
        rows.append({"false alarms": f"miss rate at 1 FPPI, {words}", "of them": f"{missed:.4f}", "share": ""})
    at = matches.scores[alarms[-1]]
    title = f"head on val_B: the {len(alarms)} false alarms down to one a picture, score {at:.3f}; by eye: one person"
    save("false_alarms", title, rows)


if __name__ == "__main__":
    main()

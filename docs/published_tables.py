"""The published tables of the field, each with its source; `docs/generate.py` sets our measurements beside them."""

from __future__ import annotations

# Liu et al. 2016, "SSD", tables 1 and 7; Redmon et al. 2016, "YOLO". mAP in percent on VOC2007 test; on a Titan X.
VOC2007 = (
    # network, trained on 07, 07+12, 07+12+COCO, fps batch 1, fps batch 8
    ("SSD300", 68.0, 74.3, 79.6, 46, 59),
    ("SSD512", 71.6, 76.8, 81.6, 19, 22),
    ("Faster R-CNN", 69.9, 73.2, 78.8, 7, None),
    ("YOLO", None, 66.4, None, 21, None),
    ("Fast YOLO", None, 52.7, None, 155, None),
)
# Howard et al. 2017, "MobileNets", table 13. COCO mAP in percent, multiply-adds in G, parameters in M.
COCO = (
    # network, mAP, multiply-adds, parameters, the recipe of ours that is built the same way ("" none)
    ("SSD300, deeplab-VGG", 21.1, 34.9, 33.1, "vgg16-ssd300"),
    ("SSD300, Inception V2", 22.0, 3.8, 13.7, ""),
    ("SSD300, MobileNet", 19.3, 1.2, 6.8, "mb1-ssd"),
    ("Faster R-CNN 300, MobileNet", 16.4, 25.2, 6.1, ""),
    ("Faster R-CNN 300, VGG", 22.9, 64.3, 138.5, ""),
    ("Faster R-CNN 600, MobileNet", 19.8, 30.5, 6.1, ""),
)
# Public MobileNet code (qfgaohao, pytorch-ssd), VOC2007 test mAP in percent.
VOC2007_MOBILE = (("MobileNetV1-SSD", 67.55), ("MobileNetV2-SSD-Lite", 68.61), ("VGG16-SSD", 77.26))
# One study on a CPU: seconds a picture, memory a picture adds, weights.
CPU_STUDY = (
    ("SSD, MobileNetV2", "0.30 s", "0.2 MiB", "50 MB"),
    ("Faster R-CNN, Inception-ResNet", "31.5 s", "not in the source", "228 MB"),
)


def voc2007() -> str:
    """VOC2007: what was published; nothing of ours stands beside it."""
    rows = ["| network | 07 | 07+12 | 07+12+COCO | fps, batch 1 | fps, batch 8 |", "|---|---|---|---|---|---|"]
    rows += [f"| {' | '.join('-' if v is None else str(v) for v in row)} |" for row in VOC2007]
    rows += [
        "",
        "| network (public code) | mAP |",
        "|---|---|",
        *(f"| {name} | {value} |" for name, value in VOC2007_MOBILE),
    ]
    return "\n".join(rows)


def coco(ours: dict[str, dict[str, str]]) -> str:
    """COCO: published cost, and the cost of the same network here.

    ours  rows of benchmarks/results/family_80.json by network
    """
    head = "| network | COCO mAP, published | multiply-adds, published | here | parameters, published | here |"
    rows = [head, "|---|---|---|---|---|---|"]
    for name, value, macs, parameters, key in COCO:
        own = ours.get(key)
        here = f"{float(own['multiply-adds, M'].replace(',', '')) / 1000:.1f} G" if own else "-"
        size = f"{int(own['parameters'].replace(',', '')) / 1e6:.1f} M" if own else "-"
        rows.append(f"| {name} | {value} | {macs} G | {here} | {parameters} M | {size} |")
    return "\n".join(rows)


def cpu_study(ours: list[dict[str, str]]) -> str:
    """Seconds and memory on a CPU: published, and the rows of benchmarks/results/study.json."""
    rows = ["| detector | where | a picture | memory that pictures add | weights |", "|---|---|---|---|---|"]
    rows += [f"| {name} | published | {seconds} | {memory} | {size} |" for name, seconds, memory, size in CPU_STUDY]
    rows += [
        f"| {r['detector']} | here | {r['a picture']} | {r['memory that pictures add']} | {r['file']} |" for r in ours
    ]
    return "\n".join(rows)

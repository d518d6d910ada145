"""Detectors of other makers, read as they are. A maker is one file here and one line in ADAPTERS."""

from __future__ import annotations

from passerby.runtime.adapters import nanodet, pinto, ssd, yolov5, yolov8, yolox, yunet
from passerby.runtime.adapters.base import Adapter

ADAPTERS: dict[str, Adapter] = {  # in the order in which a file is looked at; the first that knows it reads it
    "yunet": yunet.ADAPTER,
    "nanodet": nanodet.ADAPTER,
    "yolox": yolox.ADAPTER,
    "yolov5": yolov5.ADAPTER,
    "yolov8": yolov8.ADAPTER,
    "ssd_output": ssd.DETECTION_OUTPUT,
    "ssd_tensorflow": ssd.TENSORFLOW,
    "ssd_raw": ssd.UNSUPPRESSED,
    "pinto": pinto.ADAPTER,
}

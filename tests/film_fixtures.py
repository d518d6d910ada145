"""Videos that tests make, a server that sends them once, and what is read of them."""

from __future__ import annotations

import socket
import threading
from contextlib import closing, contextmanager
from fractions import Fraction

import cv2
import numpy as np
import pytest

from passerby.media.planar import PlanarCapture

FRAMES, TB = 20, Fraction(1, 30)


@pytest.fixture
def film(tmp_path):
    """Makes a video: name, codec, pixel format -> path; a bright bar on a colourful ground moves to the right."""
    av = pytest.importorskip("av")

    def make(name, codec="mpeg4", kind="yuv420p", size=(96, 64), times=range(FRAMES), **options):
        width, height = size
        ground = np.zeros((height, width, 3), np.uint8)
        ground[:, :, 0] = np.linspace(30, 200, width)
        ground[:, :, 1] = np.linspace(60, 180, height)[:, None]
        full = 2 if kind.startswith("yuvj") else 1
        with av.open(str(tmp_path / name), "w") as file:
            stream = file.add_stream(codec, rate=30, options=options)
            stream.width, stream.height, stream.pix_fmt = width, height, kind
            stream.codec_context.color_range = full
            for k, at in enumerate(times):
                pixels = ground.copy()
                pixels[:, 2 * k : 2 * k + 8] = 230
                frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format=kind, dst_color_range=full)
                frame.pts, frame.time_base = at, TB
                file.mux(stream.encode(frame))
            file.mux(stream.encode(None))
        return tmp_path / name

    return make


def read(path):
    """Every picture as RGB, or planes, with its time in ms."""
    with opened(str(path)) as capture:
        return all_of(capture)


@contextmanager
def opened(*given, **settings):
    """A PlanarCapture, given back in the end."""
    capture = PlanarCapture(*given, **settings)
    try:
        yield capture
    finally:
        capture.release()


def all_of(capture):
    found = []
    while (one := capture.read())[0]:
        found.append((one[1]() if callable(one[1]) else one[1], capture.get(cv2.CAP_PROP_POS_MSEC)))
    return found


@pytest.fixture
def talk(request):
    """A server of one connection on loopback: what it says at once, whereafter it is silent; its port."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(20)
    over = threading.Event()

    def serve(words):
        try:
            with closing(listener.accept()[0]) as connection:
                connection.sendall(words)
                over.wait(20)
        except OSError:
            return

    def start(words=b""):
        threading.Thread(target=serve, args=(words,), daemon=True).start()
        return listener.getsockname()[1]

    yield start
    over.set()
    listener.close()

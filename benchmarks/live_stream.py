"""Serves a video file over HTTP at its own speed, as a camera's stream comes: H.264 in MPEG-TS, on loopback.

python benchmarks/live_stream.py FILE    prints its port; runs on the last core, until it is killed
"""

from __future__ import annotations

import os
import socket
import sys
import time
from contextlib import suppress

import av


def play(path: str, connection: socket.socket) -> None:
    """The packets of the file, each when its time has come."""
    connection.recv(4096)  # the request
    connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Type: video/mp2t\r\n\r\n")
    begun = time.monotonic()
    with connection.makefile("wb", 0) as out, av.open(path) as file, av.open(out, "w", format="mpegts") as stream:
        video = file.streams.video[0]
        copy = stream.add_stream_from_template(video)
        for packet in file.demux(video):
            if packet.size:
                time.sleep(max(0.0, begun + float(packet.dts * packet.time_base) - time.monotonic()))
                packet.stream = copy
                stream.mux(packet)


def main() -> None:
    os.sched_setaffinity(0, range(os.cpu_count() or 1))  # whoever began it may be pinned to others
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    with socket.create_server(("127.0.0.1", 0)) as server:
        print(server.getsockname()[1], flush=True)
        while True:
            connection, _ = server.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else packets wait 40 ms for one another
            with connection, suppress(OSError, av.FFmpegError):
                play(sys.argv[1], connection)


if __name__ == "__main__":
    main()

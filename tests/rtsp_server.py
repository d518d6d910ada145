"""A small RTSP server of GStreamer's, for tests: a moving pattern with the time burnt in, or a video file.

Runs under Debian's own Python, where the module `gi` is (python3-gi, gir1.2-gst-rtsp-server-1.0, gstreamer1.0-plugins
good, bad and ugly). Says its address on stdout when it is ready; a file is an MP4 of H.264, and ends when it is over.
/usr/bin/python3 tests/rtsp_server.py [--port N] [--file VIDEO] [--rate FPS]

The clock: a band of 32 squares, 10 x 10 pixels each, from the upper left corner; white is 1, the highest bit first: the
milliseconds of CLOCK_MONOTONIC when the frame was made, which all processes of a machine share.
"""

import argparse
import sys
import time

BITS, SQUARE = 32, 10
WIDTH, HEIGHT = 320, 240


def frame(number, milliseconds):
    """(HEIGHT, WIDTH) grey as bytes: the clock, and a bar that moves by a pixel a frame."""
    bits = [(milliseconds >> (BITS - 1 - k)) & 1 for k in range(BITS)]
    band = b"".join((b"\xeb" if bit else b"\x10") * SQUARE for bit in bits)
    at = number % (WIDTH - 40)
    bar = b"\x80" * at + b"\xc0" * 40 + b"\x80" * (WIDTH - 40 - at)
    return band * SQUARE + bar * (HEIGHT - SQUARE)


def read_clock(grey):
    """Milliseconds burnt into a frame: (HEIGHT, WIDTH) numbers, of any array; used by the tests."""
    middle = SQUARE // 2
    return int("".join("1" if grey[middle][k * SQUARE + middle] > 128 else "0" for k in range(BITS)), 2)


def main():
    import gi

    gi.require_version("Gst", "1.0")
    gi.require_version("GstRtspServer", "1.0")
    from gi.repository import GLib, Gst, GstRtspServer

    parser = argparse.ArgumentParser()
    parser.add_argument("--port", default="0")
    parser.add_argument("--file")
    parser.add_argument("--rate", type=int, default=25)
    given = parser.parse_args()
    Gst.init(None)

    def feed(_factory, media):
        """Push a frame whenever its time has come."""
        source = media.get_element().get_by_name("source")
        count = 0

        def push():
            nonlocal count
            pixels = frame(count, time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 10**6)
            count += 1
            return source.emit("push-buffer", Gst.Buffer.new_wrapped(pixels)) == Gst.FlowReturn.OK

        GLib.timeout_add(round(1000 / given.rate), push)

    encoded = f"x264enc tune=zerolatency speed-preset=ultrafast key-int-max={given.rate} ! rtph264pay name=pay0 pt=96"
    factory = GstRtspServer.RTSPMediaFactory()
    if given.file:
        factory.set_launch(f"( filesrc location={given.file} ! qtdemux ! h264parse ! rtph264pay name=pay0 pt=96 )")
    else:
        caps = f"video/x-raw,format=GRAY8,width={WIDTH},height={HEIGHT},framerate={given.rate}/1"
        factory.set_launch(
            f"( appsrc name=source is-live=true do-timestamp=true format=time caps={caps} ! videoconvert ! "
            f"video/x-raw,format=I420 ! {encoded} )"
        )
        factory.connect("media-configure", feed)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(given.port)
    server.get_mount_points().add_factory("/stream", factory)
    if not server.attach(None):
        sys.exit(f"port {given.port} is taken")
    print(f"rtsp://127.0.0.1:{server.get_bound_port()}/stream", flush=True)
    GLib.MainLoop().run()


if __name__ == "__main__":
    main()

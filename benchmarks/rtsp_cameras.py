"""Cameras for benchmarks: serves mp4 files over RTSP on loopback, the k-th at /k, each connection from its beginning.

Run by the system's Python, which has GStreamer's bindings. A file whose name contains "hevc" or "mjpeg" is sent with
that codec, others as H.264. SIGUSR1 sets the clock of the camera forward by STEP_S, SIGUSR2 backward: from then on, the
time stamps of all connections (RTP, and RTCP with the time of day) are that much later or earlier, while pictures go on
at the same pace. GStreamer's server offers no way to do that, so clients are connected to it by a relay, which changes
the packets; it passes on RTP over TCP alone.

usage: rtsp_cameras.py PORT FILE [FILE ...]. Prints "ready PORT" when it listens; ends with its standard input.
"""

from __future__ import annotations

import contextlib
import re
import signal
import socket
import struct
import sys
import threading
from collections.abc import Callable

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

PARSERS = {"h264": "h264parse ! rtph264pay", "hevc": "h265parse ! rtph265pay", "mjpeg": "jpegparse ! rtpjpegpay"}
STEP_S = 5
RTP_HZ = 90_000
SENDER_REPORT = 200
INTERLEAVED = ord("$")
Pass = Callable[[socket.socket, socket.socket], None]


class Relay:
    """Passes connections on to a port, and moves the time stamps that come back by `step_s`.

    Args:
        port: Where it listens; 0: any free one.
        inner: The port of the RTSP server.
    """

    def __init__(self, port: int, inner: int) -> None:
        self.step_s, self._inner = 0, inner
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def step(self, seconds: int) -> bool:
        """Set the clock."""
        self.step_s += seconds
        return bool(GLib.SOURCE_CONTINUE)

    def _accept(self) -> None:
        while True:
            client, _ = self._listener.accept()
            server = socket.create_connection(("127.0.0.1", self._inner))
            threading.Thread(target=self._serve, args=(client, server), daemon=True).start()

    def _serve(self, client: socket.socket, server: socket.socket) -> None:
        with client, server:
            asking = threading.Thread(target=self._until_gone, args=(self._ask, client, server), daemon=True)
            asking.start()
            self._until_gone(self._answer, server, client)
            asking.join()

    @staticmethod
    def _until_gone(target: Pass, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):  # one side has gone: so does the other
            target(source, sink)
        for one in (source, sink):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    @staticmethod
    def _ask(source: socket.socket, sink: socket.socket) -> None:
        while data := source.recv(65536):
            sink.sendall(data)

    def _answer(self, source: socket.socket, sink: socket.socket) -> None:
        stream, before_s = source.makefile("rb"), self.step_s  # a new connection begins at the time that is set
        while first := stream.read(1):
            if first[0] == INTERLEAVED:
                head = stream.read(3)
                if len(head) < 3:
                    return
                channel, length = struct.unpack(">BH", head)
                packet = bytearray(stream.read(length))
                self._move(packet, self.step_s - before_s, control=channel % 2 == 1)
                sink.sendall(first + head + packet)
            else:
                text = bytearray(first)
                while not text.endswith(b"\r\n\r\n"):
                    line = stream.readline()
                    if not line:
                        return
                    text += line
                length = re.search(rb"(?i)content-length: *(\d+)", text)
                sink.sendall(text + (stream.read(int(length[1])) if length else b""))

    @staticmethod
    def _move(packet: bytearray, step: int, *, control: bool) -> None:
        """Add a step to the time stamp of a packet; in a sender report, to the time of day as well."""
        if not step or len(packet) < (20 if control else 12) or (control and packet[1] != SENDER_REPORT):
            return
        place = 16 if control else 4
        stamp = struct.unpack_from(">I", packet, place)[0]
        struct.pack_into(">I", packet, place, (stamp + step * RTP_HZ) % 2**32)
        if control:
            struct.pack_into(">I", packet, 8, (struct.unpack_from(">I", packet, 8)[0] + step) % 2**32)


def main(port: str, files: list[str]) -> int:
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service("0")
    for number, path in enumerate(files):
        codec = next((name for name in PARSERS if name in path.rpartition("/")[2]), "h264")
        factory = GstRtspServer.RTSPMediaFactory()
        pay = PARSERS[codec].replace("pay", "pay name=pay0", 1)
        factory.set_launch(f'( filesrc location="{path}" ! qtdemux ! {pay} )')
        server.get_mount_points().add_factory(f"/{number}", factory)
    if not server.attach(None):
        print("cannot listen", flush=True)
        return 4
    relay = Relay(int(port), server.get_bound_port())
    print(f"ready {relay.port}", flush=True)
    loop = GLib.MainLoop()
    GLib.io_add_watch(sys.stdin.fileno(), GLib.IO_HUP | GLib.IO_IN, lambda *_: loop.quit())
    GLib.unix_signal_add(GLib.PRIORITY_DEFAULT, signal.SIGUSR1, relay.step, STEP_S)
    GLib.unix_signal_add(GLib.PRIORITY_DEFAULT, signal.SIGUSR2, relay.step, -STEP_S)
    loop.run()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))

"""Sends features to `punctum run BUNDLE - --stream`, or with an address to tcp://. Needs nothing but Python.

Where the source asks for a token, set PUNCTUM_SOCKET_TOKEN for both sides.
"""

import math
import os
import socket
import struct
import sys
import zlib


def header(dim, stride_s, start_s, name):
    head = struct.pack("<4sHHIIdd", b"PNCT", 1, 1, dim, len(name), stride_s, start_s) + name
    return head + struct.pack("<I", zlib.crc32(head))


def token(secret):
    """What comes before the header where the source asks for a token."""
    return struct.pack("<4sI", b"PNCA", len(secret)) + secret


def record(rows, at=math.nan, kind=1):
    payload = b"".join(struct.pack(f"<{len(row)}f", *row) for row in rows)
    head = struct.pack("<IIdI", kind, len(rows), at, len(payload))
    return head + struct.pack("<I", zlib.crc32(head + payload)) + payload


if __name__ == "__main__":  # send_features.py FILE_OF_FLOATS DIM STRIDE_S [HOST PORT]
    path, dim, stride_s = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    out = sys.stdout.buffer
    if sys.argv[4:]:
        out = socket.create_connection((sys.argv[4], int(sys.argv[5]))).makefile("wb")
        if secret := os.environ.get("PUNCTUM_SOCKET_TOKEN"):
            out.write(token(secret.encode()))
    out.write(header(dim, stride_s, 0.0, b"python"))
    with open(path, "rb") as file:  # noqa: PTH123
        while data := file.read(4 * dim):
            out.write(record([struct.unpack(f"<{dim}f", data)]))
            out.flush()
    out.write(record([], kind=2))
    out.close()

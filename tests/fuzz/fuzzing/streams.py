"""Readers of features: framed bytes, .npy and raw rows."""

from __future__ import annotations

import contextlib
import io
import random
import shutil
import struct
import zlib
from pathlib import Path

import numpy as np
from punctum.runtime.errors import PunctumError

from . import Target, WrongAnswer
from .mutate import change_bytes
from .state import check_events, localizer


def framing(folder: Path) -> Target:
    from punctum.runtime.service.loop import Loop
    from punctum.runtime.sources.framed import FramedFile
    from punctum.runtime.sources.framing import encode_end, encode_header, encode_record

    loc, x = localizer()
    dim, file = x.shape[1], folder / "stream.bin"
    head = encode_header(dim=dim, stride_s=loc.plan.stride_s, name="n")
    records = [encode_record(x[:20]), encode_record(x[20:50], at=2.0), encode_record(x[:0], at=9.0)]
    seeds = [head + b"".join(records) + encode_record(x[50:70], at=12.0) + encode_end(), head + records[0], head]

    def run(data: bytes) -> None:
        file.write_bytes(data)
        source = FramedFile(file, dim=dim, stride_s=loc.plan.stride_s)
        events: list[object] = []

        class Sink:
            name = "list"

            def write(self, found):
                events.extend(found)

            def close(self):
                return 0

        source.open()
        try:
            Loop(loc, source, [Sink()]).run()
        finally:
            source.close()
        check_events(events)

    def record(rng: random.Random) -> bytes:
        """One record with a right checksum and anything in it."""
        count = rng.choice([0, 1, 5, 5, 2**30, 2**32 - 1])
        at = rng.choice([float("nan"), float("inf"), 0.0, 3.0, 5.0, -5.0, 1e9, 1e10, 1e15, 1e300, -1e300])
        payload = x[:count].astype("<f4").tobytes() if count < 10 else b""
        if rng.random() < 0.1:
            payload = np.full(dim * min(count, 9), rng.choice([np.nan, 3e38, -3e38]), "<f4").tobytes()
        size = len(payload) if rng.random() < 0.9 else rng.choice([0, 16 << 20, 2**32 - 1])
        start = struct.pack("<IIdI", rng.choice([1, 1, 1, 1, 2, 3]), count, at, size)
        return start + struct.pack("<I", zlib.crc32(payload, zlib.crc32(start))) + payload

    def mutate(data: bytes, rng: random.Random) -> bytes:
        if rng.random() < 0.4:
            return change_bytes(data, rng)
        begin = encode_header(
            dim=rng.choice([dim, dim, dim, dim + 1, 1]),
            stride_s=loc.plan.stride_s * rng.choice([1, 1, 1, 1, 1e-9, 1e9]),
            start_s=rng.choice([0.0, 0.0, 0.0, -3.0, 1e9, 1e11, 1e308, -1e308]),
            name=rng.choice(["a", "\x1b[31m", "\u00fc" * 100, ""]),
        )
        return begin + b"".join(record(rng) for _ in range(rng.randrange(6))) + encode_end()

    return Target(seeds, run, mutate, cases=250)


def _header(rng: random.Random, body: bytes) -> bytes:
    """A .npy header that claims something."""
    shapes = ["(-5, 8)", "(5, 8)", "(10**9, 8)", "(1000000000000, 8)", "(200, 8, 1)", "(True, 8)", "(200L, 8)", "()"]
    shapes += ["(0, 8)", "(200, -8)", "(200,8)", "(200, 9)", "[200, 8]", "(200.0, 8)", "(200, '8')", "None"]
    kinds = ["'<f4'", "'>f8'", "'|O'", "'<c8'", "'|b1'", "[('a','<f4')]", "'<M8[s]'", "'<f2'", "'|S4'", "'<u8'", "'V8'"]
    kinds += ["('<f4',(2,))", "'<f16'", "None", "'x'", "'<U1'", "3"]
    order = rng.choice(["False", "False", "True", "0", "None", "'x'"])
    text = f"{{'descr': {rng.choice(kinds)}, 'fortran_order': {order}, 'shape': {rng.choice(shapes)}, }}".encode()
    text += b" " * ((64 - (10 + len(text) + 1) % 64) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + body


def npy(folder: Path) -> Target:
    from punctum.runtime.features.features import load_features
    from punctum.runtime.sources.folder import ChunkFolder
    from punctum.runtime.sources.items import Bad
    from punctum.runtime.sources.tail import RowFile

    _, x = localizer()
    x = x[:40]
    file, chunks = folder / "a.npy", folder / "chunks"
    chunks.mkdir(exist_ok=True)
    seeds = []
    for array in (x, x[:3], x.astype(">f8"), x.astype(np.float16), (x * 10).astype(np.int64), np.asfortranarray(x)):
        stream = io.BytesIO()
        np.save(stream, array)
        seeds.append(stream.getvalue())
    stream = io.BytesIO()
    np.lib.format.write_array(stream, x, version=(2, 0))
    seeds.append(stream.getvalue())

    def run(data: bytes) -> None:
        file.write_bytes(data)
        whole = rows = None
        with contextlib.suppress(PunctumError):
            whole = len(load_features(file, stride_s=0.1, dim=8).data)
        source = RowFile(file, dim=8)
        source.open()
        try:
            taken = [item.rows for item in source.items() if hasattr(item, "rows")]
            if all(np.isfinite(part).all() for part in taken):
                rows = sum(len(part) for part in taken)
        except PunctumError:
            pass
        finally:
            source.close()
        shutil.copy(file, chunks / "000001.npy")
        for item in ChunkFolder(chunks, dim=8, stride_s=0.1).items():
            if isinstance(item, Bad):
                break
        if whole is None and rows:
            raise WrongAnswer(f"refused as a whole, {rows} rows as a stream")
        if whole is not None and rows is not None and whole != rows:
            raise WrongAnswer(f"{whole} rows as a whole, {rows} as a stream")

    def mutate(data: bytes, rng: random.Random) -> bytes:
        if rng.random() < 0.5:
            return change_bytes(data, rng)
        made = _header(rng, x.tobytes())
        return made if rng.random() < 0.7 else change_bytes(made, rng)

    return Target(seeds, run, mutate, cases=250)


def raw(folder: Path) -> Target:
    from punctum.runtime.sources.tail import RowFile

    _, x = localizer()
    file = folder / "a.f32"

    def run(data: bytes) -> None:
        file.write_bytes(data)
        source = RowFile(file, dim=8)
        source.open()
        try:
            for _ in source.items():
                pass
        finally:
            source.close()

    return Target([x[:30].astype("<f4").tobytes(), b""], run, change_bytes, cases=60)

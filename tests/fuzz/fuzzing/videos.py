"""The head of video containers, where headers, indices and sizes are. Frames that come out are counted only."""

from __future__ import annotations

import random
import struct
from pathlib import Path

import numpy as np

from . import Target, WrongAnswer

FORMS = {".mp4": "mpeg4", ".mkv": "mpeg4", ".avi": "mpeg4", ".ts": "mpeg2video", ".flv": "flv", ".mov": "mjpeg"}
MOST_FRAMES = 400


def clip(path: Path, codec: str) -> bytes:
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=10)
        stream.width, stream.height = 64, 48
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for k in range(12):
            picture = np.full((48, 64, 3), 20 * k, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return path.read_bytes()


def video(folder: Path) -> Target:
    import av
    from punctum.runtime.video import Gap, open_frames

    av.logging.set_level(None)
    seeds, endings = [], list(FORMS)
    for number, (ending, codec) in enumerate(FORMS.items()):
        seeds.append(bytes([number]) + clip(folder / f"seed{ending}", codec))

    def run(data: bytes) -> None:
        file = folder / f"clip{endings[data[0] % len(endings)] if data else '.mp4'}"
        file.write_bytes(data[1:])
        source = open_frames(str(file), fps=10)
        try:
            before = -1
            for count, item in enumerate(source.frames()):
                index = getattr(item, "index", None)
                if isinstance(item, Gap):  # the grid starts anew behind it
                    before = -1
                elif index is not None:
                    if index <= before:
                        raise WrongAnswer(f"cell {index} after {before}")
                    before = index
                if count >= MOST_FRAMES:
                    break
        finally:
            source.close()

    def mutate(data: bytes, rng: random.Random) -> bytes:
        out = bytearray(data)
        for _ in range(rng.choice([1, 3, 10, 40])):
            if len(out) < 8:
                break
            i, act = 1 + rng.randrange(min(len(out) - 1, rng.choice([200, 2000, len(out) - 1]))), rng.random()
            if act < 0.5:
                out[i] = rng.randrange(256)
            elif act < 0.7:
                out[i : i + 4] = struct.pack(">I", rng.choice([0, 1, 0x7FFFFFFF, 0xFFFFFFFF, 65536]))
            elif act < 0.85:
                del out[i : i + rng.choice([1, 7, 188, 1000])]
            else:
                out[i:i] = out[i : i + rng.choice([8, 188, 500])]
        return bytes(out)

    return Target(seeds, run, mutate, cases=60)

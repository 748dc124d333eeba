"""CPU time that is saved by decoding only the packets that the sampled frames need, for each kind of stream.

    python benchmarks/decoding.py [--fps 10] [--seconds 8] [--rounds 5] [--threads 1] [--only NAME,NAME]
                                  [--videos FILE...] [--json FILE]

The streams are encoded from procedural scenes with noise; `--videos` measures your own files instead. Each stream is
processed in two modes, up to the input of the backbone of the bundle `default`: "all" decodes every packet, "selected"
only those that are needed. The modes alternate within one process and must produce the same images, times and losses.
Reported are CPU seconds and wall-clock seconds per second of media, as medians over the rounds. The ratio is the median
of the ratios of the rounds, because other programs may be using the machine.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from punctum.runtime import Bundle
from punctum.runtime.backbone.backbone import VideoBackbone
from punctum.runtime.credentials.redact import Address
from punctum.runtime.video import Sampled, VideoOptions
from punctum.runtime.video.files import FileFrames
from result_file import add_json, rows_of, save

SEED = 77
X264 = {"preset": "veryfast", "crf": "23", "threads": "1"}
CAMERA = {"preset": "veryfast", "tune": "zerolatency", "crf": "23", "threads": "1"}


class Kind(NamedTuple):
    """One kind of stream. what: for the table."""

    what: str
    suffix: str
    codec: str
    options: dict[str, str]
    height: int = 720
    rate: int = 25
    b_frames: int | None = None


KINDS = {
    "h264": Kind("H.264, B-frames of x264 (pyramid)", "mp4", "libx264", X264),
    "h264-flat": Kind(
        "H.264, 3 B-frames, no pyramid", "mp4", "libx264", X264 | {"x264-params": "b-pyramid=none:b-adapt=0"}
    ),
    "h264-1080": Kind("H.264 1080p, B-frames of x264", "mp4", "libx264", X264, 1080),
    "camera-30": Kind("H.264 camera, no B-frames", "mp4", "libx264", CAMERA, 720, 30),
    "camera-60": Kind("H.264 camera, no B-frames", "mp4", "libx264", CAMERA, 720, 60),
    "hevc": Kind(
        "H.265, B-frames of x265", "mp4", "libx265", {"preset": "superfast", "x265-params": "log-level=error:pools=1"}
    ),
    "av1": Kind("AV1 of SVT-AV1", "mp4", "libsvtav1", {"preset": "10", "crf": "35"}),
    "mpeg2": Kind("MPEG-2, 2 B-frames", "ts", "mpeg2video", {"b": "8000000", "g": "15"}, b_frames=2),
    "mpeg4": Kind("MPEG-4, 2 B-frames", "mp4", "mpeg4", {"b": "4000000"}, b_frames=2),
    "vp9": Kind("VP9", "webm", "libvpx-vp9", {"deadline": "realtime", "cpu-used": "8", "b": "3000000"}),
    "mjpeg": Kind("motion JPEG", "mkv", "mjpeg", {"q:v": "4"}),
}


def make(folder: Path, names: list[str], seconds: float) -> dict[str, Path]:
    """Encode the streams; those of the same size and rate from one rendering."""
    import av
    from punctum.runtime.synthetic.video.scene import render

    paths = {
        name: folder / f"{name}.{KINDS[name].suffix}" for name in names if KINDS[name].codec in av.codecs_available
    }
    for height, rate in sorted({(KINDS[name].height, KINDS[name].rate) for name in paths}):
        alike = [name for name in paths if (KINDS[name].height, KINDS[name].rate) == (height, rate)]
        width = height * 16 // 9
        with contextlib.ExitStack() as stack:
            outputs = []
            for name in alike:
                kind = KINDS[name]
                container = stack.enter_context(av.open(str(paths[name]), "w"))
                stream: Any = container.add_stream(kind.codec, rate=rate)
                stream.width, stream.height = width, height
                stream.pix_fmt = "yuvj420p" if kind.codec == "mjpeg" else "yuv420p"
                stream.color_range = 2 if kind.codec == "mjpeg" else 1
                stream.options = kind.options
                if kind.b_frames is not None:
                    stream.codec_context.max_b_frames = kind.b_frames
                outputs.append((container, stream))
            for image in render(SEED, seconds=seconds, size=(height, width), fps=float(rate)).frames():
                for container, stream in outputs:
                    container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
            for container, stream in outputs:
                container.mux(stream.encode())
    return paths


class Run(NamedTuple):
    """One pass over a file. digest: of images, times and losses; empty unless asked for."""

    cpu_s: float
    wall_s: float
    media_s: float
    frames: int
    omitted: int
    digest: str


def run(path: Path, fps: float, threads: int, prepare: Any, *, decode_all: bool, check: bool = False) -> Run:
    digest = hashlib.sha256()
    cpu, wall = time.process_time(), time.perf_counter()
    options = VideoOptions(threads=threads)
    source = FileFrames(Address.parse(str(path)), fps=fps, options=options, decode_all=decode_all)
    source.open()
    reader: Any = source._reader
    cells, shown = 0, None
    for item in source.frames():
        if not isinstance(item, Sampled):
            continue
        cells += 1
        if item.image is not shown:
            shown = item.image
            prepare(shown, item.aspect)
        if check:
            digest.update(f"{item.index} {item.at} {item.lost}".encode() + item.image.tobytes())
    counted = reader.frames, reader.omitted
    source.close()
    spent = time.process_time() - cpu, time.perf_counter() - wall
    return Run(*spent, cells / fps, *counted, digest.hexdigest() if check else "")


def measure(path: Path, fps: float, threads: int, prepare: Any, rounds: int) -> dict[str, Any]:
    """Figures of one file; times in ms per second of media."""
    whole, selected = (run(path, fps, threads, prepare, decode_all=way, check=True) for way in (True, False))
    if whole.digest != selected.digest:
        raise SystemExit(f"{path.name}: images, times or losses differ")
    best: dict[str, list[float]] = {}
    for _ in range(rounds):
        for way, name in ((True, "all"), (False, "selected")):
            one = run(path, fps, threads, prepare, decode_all=way)
            best.setdefault(name, []).append(one.cpu_s)
            best.setdefault(f"{name}_wall", []).append(one.wall_s)
    times = {f"{name}_ms": round(1000 * median(spent) / whole.media_s, 2) for name, spent in best.items()}
    pairs = zip(best["selected"], best["all"], strict=True)
    return {
        "frames": whole.frames,
        "omitted": round(selected.omitted / whole.frames, 3),
        **times,
        "ratio": round(median(one / other for one, other in pairs), 3),
    }


def rows(arguments: argparse.Namespace, folder: Path) -> Iterator[dict[str, Any]]:
    prepare = VideoBackbone.open(Bundle.load("default")).preprocessor()
    if arguments.videos:
        files = {path.name: path for path in arguments.videos}
    else:
        files = make(folder, arguments.only.split(",") if arguments.only else list(KINDS), arguments.seconds)
    for name, path in files.items():
        kind = KINDS.get(name)
        about = (
            {"name": name} if kind is None else {"name": name, "what": kind.what, "form": f"{kind.height}p{kind.rate}"}
        )
        yield about | measure(path, arguments.fps, arguments.threads, prepare, arguments.rounds)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--fps", type=float, default=10.0, help="frames used per second")
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1, help="threads of the decoder; 0: as FFmpeg chooses")
    parser.add_argument("--only", help=f"some of {','.join(KINDS)}")
    parser.add_argument("--videos", type=Path, nargs="*")
    add_json(parser)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="punctum-") as folder:
        found = []
        for row in rows(arguments, Path(folder)):
            found.append(row)
            text = f"{row['name']:10} {row.get('form', ''):8} {row['omitted']:6.1%} not decoded  "
            text += f"CPU {row['all_ms']:6.1f} -> {row['selected_ms']:6.1f} ms/s  ratio {row['ratio']:.2f}  "
            print(text + f"wall {row['all_wall_ms']:6.1f} -> {row['selected_wall_ms']:6.1f}", flush=True)
        save(arguments.json, rows_of(found, "stream"), details={"fps": arguments.fps, "streams": found})


if __name__ == "__main__":
    main()

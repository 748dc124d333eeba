"""Event media of `punctum serve`: what the ring of packets costs, and which moment of an event a picture shows best.

    python benchmarks/site_media.py ring [--seconds 20] [--rounds 4]
    python benchmarks/site_media.py moment [--count 40] [--seed 3000000]

ring: an RTSP camera on loopback (GStreamer's server, Debian packages as for tests/system/test_rtsp.py), 1280x720 at 25
frames per second, about 4 Mbit/s, decoded and sampled at 10 frames per second, in turns without and with the ring, in
one process. CPU time of the process for each second of video, and memory at the end.

moment: procedural videos of other seeds, the shipped bundle, events from its minimum score on that match an action
(tIoU 0.3). For the middle of the event, and for the instant at which its class track is highest: whether it lies in
the true action, and how far the acting bodies are then from where they are without the action, as a share of the most
that they are during it.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
from punctum.runtime import Bundle, Localizer
from punctum.runtime.backbone.backbone import VideoBackbone
from punctum.runtime.backbone.extractor import Extractor
from punctum.runtime.site.media.ring import Ring
from punctum.runtime.synthetic.video import Scene, render
from punctum.runtime.video import VideoOptions, open_frames
from result_file import add_json, rows_of, save

F64 = npt.NDArray[np.float64]
SIZE, RATE, BITS = (720, 1280), 25, 4_000_000
MATCH, LEAST = 0.3, 0.38


def camera(path: Path, seconds: float) -> None:
    """A moving texture as H.264."""
    import av

    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 255, (SIZE[0] // 4 + 64, SIZE[1] // 4 + 64, 3), np.uint8)
    texture = coarse.repeat(4, 0).repeat(4, 1)
    with av.open(str(path), "w", options={"movflags": "faststart"}) as out:
        stream = out.add_stream("libx264", rate=RATE)
        stream.height, stream.width = SIZE
        stream.pix_fmt, stream.bit_rate = "yuv420p", BITS
        stream.options = {"preset": "ultrafast", "g": "50"}
        for k in range(round(seconds * RATE)):
            y, x = round(100 + 90 * np.sin(k / 17)), round(100 + 90 * np.cos(k / 23))
            frame = av.VideoFrame.from_ndarray(
                np.ascontiguousarray(texture[y : y + SIZE[0], x : x + SIZE[1]]), format="rgb24"
            )
            out.mux(stream.encode(frame))
        out.mux(stream.encode())


def ring(seconds: float, rounds: int) -> dict[str, object]:
    """CPU time without and with the ring, in turns."""
    server = Path(__file__).parent.parent / "tests" / "system" / "rtsp_server.py"
    spent: dict[str, list[float]] = {"without": [], "with": []}
    held = 0.0
    with tempfile.TemporaryDirectory() as folder:
        video = Path(folder) / "camera.mp4"
        camera(video, seconds)
        megabits = video.stat().st_size * 8 / seconds / 1e6
        for turn in range(2 * rounds):
            process = subprocess.Popen(
                ["/usr/bin/python3", server, video, "0"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            try:
                assert process.stdout is not None
                port = int(process.stdout.readline().split()[1])
                kept = Ring(600, 512) if turn % 2 else None
                options = VideoOptions(packets=None if kept is None else kept.tap(), reconnect_s=0)
                source = open_frames(f"rtsp://127.0.0.1:{port}/cam", fps=10, options=options)
                began, last = time.process_time(), 0.0
                for item in source.frames():
                    last = last if item is None else item.at
                spent["with" if kept else "without"].append((time.process_time() - began) / last)
                source.close()
                if kept is not None:
                    held = kept.bytes / 1e6
            finally:
                process.kill()
                process.communicate()
    means = {f"cpu {name} ring, ms per second": 1000 * float(np.mean(values)) for name, values in spent.items()}
    return {
        "stream, Mbit per second": megabits,
        **means,
        "each": {name: [round(1000 * value, 1) for value in values] for name, values in spent.items()},
        "ring after the video, mb": held,
        "the same bytes in the stream, mb": megabits / 8 * seconds,
        "most memory of the process, mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3,
    }


def displacement(scene: Scene, action: int) -> tuple[float, F64]:
    """Start of an action, and for each of its frames how far its bodies are from a course without it, 0 to 1."""
    _, start, end = scene.actions[action]
    first, last = int(start * scene.fps), min(int(end * scene.fps) + 1, scene.frame_count)
    total = np.zeros(last - first)
    for body in scene.actors[action]:
        track = scene.tracks(body)
        columns = [track[name] for name in ("x", "y", "size", "stretch", "alpha", "behind")]
        for column in [*columns, track["turn"] / np.pi, *track["limbs"].T]:
            part = column[first:last]
            total += np.abs(part - np.linspace(part[0], part[-1], len(part)))
    return first / scene.fps, total / max(total.max(), 1e-9)


def moment(count: int, seed: int) -> dict[str, object]:
    """Middle of the event against the maximum of its track."""
    bundle = Bundle.load("default")
    localizer, backbone = Localizer(bundle), VideoBackbone.open(bundle)
    found: dict[str, list[tuple[bool, float]]] = {"middle": [], "maximum of the track": []}
    for number in range(seed, seed + count):
        scene = render(number)
        extractor, step = Extractor(backbone, batch=8), round(scene.fps / backbone.spec.fps)
        rows = [extractor.push(image) for k, image in enumerate(scene.frames()) if k % step == step // 2]
        session = localizer.session()
        session._stream._keep_tracks = True
        events = session.push(np.concatenate([*rows, extractor.flush()])) + session.flush()
        tracks = np.concatenate(session._stream.class_tracks)
        centers = (np.arange(len(tracks)) + 0.5) * backbone.spec.stride_s
        for event in events:
            label = localizer.labels.index(event.label)
            inside = np.flatnonzero((centers >= event.start) & (centers < event.end))
            overlaps = [
                max(0.0, min(end, event.end) - max(start, event.start))
                / (max(end, event.end) - min(start, event.start))
                if which == label
                else 0.0
                for which, start, end in scene.actions
            ]
            if event.score < LEAST or not len(inside) or max(overlaps, default=0.0) < MATCH:
                continue
            action = int(np.argmax(overlaps))
            _, start, end = scene.actions[action]
            first_s, away = displacement(scene, action)
            places = ((event.start + event.end) / 2, float(centers[inside[tracks[inside, label].argmax()]]))
            for at, values in zip(places, found.values(), strict=True):
                frame = int((at - first_s) * scene.fps)
                values.append((start <= at < end, float(away[frame]) if 0 <= frame < len(away) else 0.0))
    middle, best = (np.array(values, float) for values in found.values())
    difference = best[:, 1] - middle[:, 1]
    return {
        "events": len(middle),
        **{
            f"{name}: in the action": float(values[:, 0].mean())
            for name, values in zip(found, (middle, best), strict=True)
        },
        **{
            f"{name}: displacement": float(values[:, 1].mean())
            for name, values in zip(found, (middle, best), strict=True)
        },
        "difference of displacement": float(difference.mean()),
        "its standard error": float(difference.std() / len(difference) ** 0.5),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("ring", "moment"))
    parser.add_argument("--seconds", type=float, default=20.0, help="length of the video")
    parser.add_argument("--rounds", type=int, default=4, help="turns of each kind")
    parser.add_argument("--count", type=int, default=40, help="number of videos")
    parser.add_argument("--seed", type=int, default=3_000_000, help="seed of the first video")
    add_json(parser)
    arguments = parser.parse_args()
    if arguments.what == "ring":
        result = ring(arguments.seconds, arguments.rounds)
    else:
        result = moment(arguments.count, arguments.seed)
    json.dump(result, sys.stdout, indent=2)
    sys.stdout.write("\n")
    save(arguments.json, rows_of(result))


if __name__ == "__main__":
    main()

"""`punctum score`: workers against one, batching across items, memory against length, many small items, cost an hour.

    python benchmarks/archive.py [--bundle default] [--parts cost,sizes,workers,batching,small,memory,ray] [--rounds 3]
                                 [--items 10000] [--video-hours 1] [--work DIR] [--json FILE]

Media are procedural videos and the features that the bundle makes of them; longer ones are those in turn.
  cost      one worker: seconds of it and bytes out for an hour of features and of video, and its peak memory
  sizes     one worker: seconds for an hour of noisy H.264 of several sizes, and how much of them is decoding
  workers   two processes against one, and against one that has one core only (its decoder runs beside its engine),
            over the same archive, of features and of videos, whole runs in turn, from the call to the last commit
  batching  a group of small items through common runs of the engine against the same items one by one, in turn
  small     --items items of 5 s: milliseconds an item with reading, hashing and committing; start of a resumed run
  memory    of a worker, after a tenth, half and nine tenths of ten hours of features and an hour of video, one
            item each; peak against that of ten minutes and of four
  ray       the archive of `workers` on two actors of a Ray cluster of this machine
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from punctum.runtime import Bundle
from punctum.runtime.archive import ArchiveOptions, score_archive
from punctum.runtime.archive._groups import make_groups
from punctum.runtime.archive._items import Group, Task
from punctum.runtime.archive._scorer import Scorer
from punctum.runtime.archive.inputs import find_items
from punctum.runtime.cli import invoke
from punctum.runtime.synthetic.video import write_videos
from punctum.runtime.video import open_frames
from result_file import add_json, rows_of, save

SEED, VIDEOS, SECONDS = 4_000_001, 6, 40.0


class Media:
    """Videos, and features of any length, below one folder; what is there is used again."""

    def __init__(self, bundle: str, work: Path) -> None:
        self.work = work
        data = work / "videos"
        if not data.exists():
            write_videos(data, count=VIDEOS, seed=SEED, seconds=SECONDS)
        self.videos = sorted(data.rglob("*.mp4"))
        features = work / "features"
        if not features.exists() and invoke(["features", bundle, *map(str, self.videos), "--out", str(features)]):
            raise SystemExit("features failed")
        self.pieces = [np.load(path) for path in sorted(features.glob("*.npy"))]

    def features(self, name: str, *, count: int, rows: int) -> Path:
        """A folder of `count` items of `rows` snippets."""
        folder = self.work / name
        if folder.exists():
            return folder
        folder.mkdir()
        for i in range(count):
            out = np.lib.format.open_memmap(folder / f"{i:05d}.npy", "w+", np.float32, (rows, self.pieces[0].shape[1]))
            at, turn = 0, i
            while at < rows:
                piece = np.roll(self.pieces[turn % len(self.pieces)], 7 * turn, axis=0)[: rows - at]
                out[at : at + len(piece)] = piece
                at, turn = at + len(piece), turn + 1
            del out
        return folder

    def videos_of(self, seconds: float, count: int) -> Path:
        """A folder of `count` names of one video of that length."""
        folder = self.work / f"videos_{seconds:.0f}_{count}"
        if not folder.exists():
            one = self.video(seconds)
            folder.mkdir()
            for i in range(count):
                (folder / f"{i:03d}.mp4").hardlink_to(one)
        return folder

    def scene(self, height: int, width: int, fps: float, seconds: float) -> Path:
        """A procedural scene drawn at that size: its noise makes compressing and decoding it real work."""
        from punctum.runtime.synthetic.video.dataset import encode
        from punctum.runtime.synthetic.video.scene import render

        path = self.work / f"scene_{width}x{height}.mp4"
        if not path.exists():
            encode(render(SEED, seconds=seconds, size=(height, width), fps=fps), path)
        return path

    def video(self, seconds: float) -> Path:
        """One video of about that length: the first of them again and again."""
        import av

        path = self.work / f"video_{seconds:.0f}.mp4"
        if path.exists():
            return path
        with av.open(str(self.videos[0])) as source, av.open(str(path), "w") as sink:
            inward = source.streams.video[0]
            outward = sink.add_stream_from_template(inward)
            packets = [packet for packet in source.demux(inward) if packet.dts is not None]
            step = packets[0].duration or round(float(1 / (inward.average_rate * inward.time_base)))
            span = step * len(packets)
            for turn in range(max(1, round(seconds / SECONDS))):
                with av.open(str(self.videos[0])) as again:
                    for packet in again.demux(again.streams.video[0]):
                        if packet.dts is not None:
                            packet.pts, packet.dts = packet.pts + turn * span, packet.dts + turn * span
                            packet.stream = outward
                            sink.mux(packet)
        return path


def groups_of(folder: Path, most: int) -> list[Group]:
    items = find_items([str(folder)])
    return make_groups([Task(item) for item in items], archive_items=len(items), most=most)


def in_worker(bundle: str, paths: list[str], before: list[str]) -> dict[str, float]:
    """Score paths in a process of its own, one group each, after `before`; what that took and its peak memory."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_worker, args=(theirs, bundle, paths, before))
    process.start()
    theirs.close()
    found: dict[str, float] = ours.recv()
    process.join()
    return found


def _worker(pipe: Any, bundle: str, paths: list[str], before: list[str]) -> None:
    began = time.perf_counter()
    scorer = Scorer(Bundle.load(bundle), ArchiveOptions())
    found = {"open_s": time.perf_counter() - began, "seconds": 0.0, "media_s": 0.0, "out": 0.0, "events": 0.0}
    for path in before:
        for group in groups_of(Path(path), 1):
            scorer.score(group)
    over = threading.Event()
    track: list[float] = []
    watch = threading.Thread(target=_watch, args=(over, track), daemon=True)
    watch.start()
    cpu = time.process_time()
    for path in paths:
        for group in groups_of(Path(path), 0):
            outcome = scorer.score(group)
            failures = [record.error for record in outcome.records if record.status != "done"]
            if failures:
                raise SystemExit(failures[0])
            found["seconds"] += outcome.seconds
            found["media_s"] += sum(record.media_s for record in outcome.records)
            found["events"] += sum(record.events for record in outcome.records)
            found["out"] += len(outcome.part)
    found["cpu_s"] = time.process_time() - cpu
    over.set()
    watch.join()
    found["peak_mib"] = _memory("VmHWM")
    found |= {f"rss_at_{part}_%": track[min(len(track) * part // 100, len(track) - 1)] for part in (10, 50, 90)}
    pipe.send(found)


def _watch(over: threading.Event, track: list[float]) -> None:
    while not over.wait(0.02):
        track.append(_memory("VmRSS"))


def _memory(what: str) -> float:
    return int(Path("/proc/self/status").read_text().split(f"{what}:")[1].split()[0]) / 1024


def cost(bundle: str, media: Media) -> Iterator[dict[str, Any]]:
    long = media.features("hours", count=6, rows=18_000)
    for name, paths in (("features", [str(long)]), ("video", [str(media.video(600))])):
        found = in_worker(bundle, paths, [])
        hours = found["media_s"] / 3600
        size = sum(
            p.stat().st_size for path in paths for p in ([Path(path)] if Path(path).is_file() else Path(path).iterdir())
        )
        yield {
            "cost of": name,
            "worker_s_an_hour": found["seconds"] / hours,
            "cpu_s_an_hour": found["cpu_s"] / hours,
            "times_real_time": 3600 * hours / found["seconds"],
            "mb_in_an_hour": size / hours / 1e6,
            "kb_out_an_hour": found["out"] / hours / 1e3,
            "events_an_hour": found["events"] / hours,
            "open_s": found["open_s"],
            "peak_mib": found["peak_mib"],
        }


def sizes(bundle: str, media: Media) -> Iterator[dict[str, Any]]:
    for height, width, fps in ((120, 160, 20.0), (360, 640, 25.0), (720, 1280, 25.0), (1080, 1920, 25.0)):
        path = media.scene(height, width, fps, 20.0)
        spent = []
        for _ in range(2):  # the first one warms up
            before = time.process_time()
            frames = open_frames(str(path), fps=Bundle.load(bundle).manifest.backbone.fps)
            for _ in frames.frames():
                pass
            frames.close()
            spent.append(time.process_time() - before)
        found = in_worker(bundle, [str(path)], [str(path)])
        yield {
            "video": f"{width}x{height} at {fps:g}/s",
            "mbit_s": path.stat().st_size * 8e-6 / found["media_s"],
            "worker_s_an_hour": 3600 * found["seconds"] / found["media_s"],
            "cpu_s_an_hour": 3600 * found["cpu_s"] / found["media_s"],
            "decode_share": spent[-1] / found["cpu_s"],
            "peak_mib": found["peak_mib"],
        }


def timed(bundle: Bundle, folder: Path, **options: Any) -> tuple[float, Any]:
    with tempfile.TemporaryDirectory(dir=folder.parent) as out:
        began = time.perf_counter()
        given = ArchiveOptions(**options)
        summary = score_archive(bundle, [str(folder)], Path(out) / "out", given, progress=False)
        spent = time.perf_counter() - began
    if summary.failed:
        raise SystemExit(str(summary.errors))
    return spent, summary


def workers(bundle: Bundle, media: Media, rounds: int) -> Iterator[dict[str, Any]]:
    cores = sorted(os.sched_getaffinity(0))
    for name, folder in (
        ("features", media.features("archive", count=32, rows=9_000)),
        ("videos", media.videos_of(120, 12)),
    ):
        spent: dict[str, list[float]] = {"one": [], "one_on_one_core": [], "two": []}
        for _ in range(rounds):
            for how, times in spent.items():
                os.sched_setaffinity(0, cores[:1] if how == "one_on_one_core" else cores)  # which workers inherit
                times.append(timed(bundle, folder, workers=2 if how == "two" else 1)[0])
        os.sched_setaffinity(0, cores)
        two = spent.pop("two")
        ratios = {
            how: statistics.median(s / t for s, t in zip(times, two, strict=True)) for how, times in spent.items()
        }
        yield {"two workers": name, "ratio_to": ratios, "s": spent | {"two": two}}


def batching(bundle: Bundle, media: Media, rounds: int) -> Iterator[dict[str, Any]]:
    scorer = Scorer(bundle, ArchiveOptions())
    for seconds in (5, 20, 60):
        folder = media.features(f"small_{seconds}", count=64, rows=round(seconds / scorer.localizer.plan.stride_s))
        spent: dict[str, list[float]] = {"together": [], "alone": []}
        for turn in range(rounds + 1):
            for name, most in (("together", 64), ("alone", 1)):
                groups = groups_of(folder, most)
                began = time.perf_counter()
                for group in groups:
                    scorer.score(group)
                if turn:  # the first one warms up
                    spent[name].append(time.perf_counter() - began)
        ratios = [alone / together for alone, together in zip(spent["alone"], spent["together"], strict=True)]
        per = {name: 1e3 * statistics.median(one) / 64 for name, one in spent.items()}
        yield {"batching of 64 items of s": seconds, "ratio": statistics.median(ratios), "ms_an_item": per}


def small(bundle: Bundle, media: Media, count: int) -> Iterator[dict[str, Any]]:
    folder = media.features(f"many_{count}", count=count, rows=25)
    with tempfile.TemporaryDirectory(dir=media.work) as work:
        out = Path(work) / "out"
        first = score_archive(bundle, [str(folder)], out, ArchiveOptions(), progress=False)
        again = score_archive(bundle, [str(folder)], out, ArchiveOptions(), progress=False)
        size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
        parts = sum(1 for _ in out.glob("events/*/*"))
    yield {
        "small items": count,
        "wall_s": first.wall_s,
        "ms_an_item": 1e3 * first.wall_s / count,
        "worker_ms_an_item": 1e3 * first.worker_s / count,
        "start_s": first.start_s,
        "resumed_start_s": again.start_s,
        "resumed_wall_s": again.wall_s,
        "done_before": again.skipped,
        "parts": parts,
        "kb_out": size / 1e3,
    }


def memory(bundle: str, media: Media, video_hours: float) -> Iterator[dict[str, Any]]:
    for name, shorter, longer in (
        ("10 h of features, 10 min", media.features("minutes", count=1, rows=3_000), _ten_hours(media)),
        (f"{video_hours:g} h of video, 4 min", media.video(240), media.video(3600 * video_hours)),
    ):
        for path in (longer, shorter):
            found = in_worker(bundle, [str(path)], [])
            rss = [value for key, value in found.items() if key.startswith("rss_at")]
            yield {"memory": name, "media_h": found["media_s"] / 3600, "rss_mib": rss, "peak_mib": found["peak_mib"]}


def _ten_hours(media: Media) -> Path:
    return media.features("ten_hours", count=1, rows=180_000)


def on_ray(bundle: Bundle, media: Media) -> Iterator[dict[str, Any]]:
    folder = media.features("archive", count=32, rows=9_000)
    local, _ = timed(bundle, folder, workers=2)
    ray, summary = timed(bundle, folder, workers=2, engine="ray")
    yield {"ray": "two actors", "s": ray, "start_s": summary.start_s, "two_processes_s": local}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", default="default")
    parser.add_argument("--parts", default="cost,sizes,workers,batching,small,memory")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--items", type=int, default=10_000)
    parser.add_argument("--video-hours", type=float, default=1.0)
    parser.add_argument("--work", type=Path)
    add_json(parser)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        work = given.work or Path(scratch)
        work.mkdir(parents=True, exist_ok=True)
        media, bundle = Media(given.bundle, work), Bundle.load(given.bundle)
        parts = {
            "cost": lambda: cost(given.bundle, media),
            "sizes": lambda: sizes(given.bundle, media),
            "workers": lambda: workers(bundle, media, given.rounds),
            "batching": lambda: batching(bundle, media, given.rounds),
            "small": lambda: small(bundle, media, given.items),
            "memory": lambda: memory(given.bundle, media, given.video_hours),
            "ray": lambda: on_ray(bundle, media),
        }
        found: list[dict[str, Any]] = []
        for name in given.parts.split(","):
            for row in parts[name]():
                found.append({"part": name} | row)
                print("  ".join(f"{k}: {_shown(v)}" for k, v in row.items()), flush=True)
        save(given.json, rows_of(found, "row"), details={"rows": found})


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k}: {_shown(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_shown, value)) + "]"
    return str(value)


if __name__ == "__main__":
    main()

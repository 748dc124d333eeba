"""The ways to run one trained network on this CPU, in turns: time a second of media by stage, memory, mAP.

    python benchmarks/engines.py RUN DATA [--split split_1] [--bundle BUNDLE] [--published RUN]
                                 [--rounds 5] [--json FILE]

RUN: made by `punctum train` on DATA, whose test videos are run as whole recordings and as live streams. BUNDLE: the
same run with precision variants, whose int8 is measured too. --published: a run of the same data with the published
recipe, whose mAP stands in the row of the published head: that row itself is timed with the published sizes (2048
wide, three branches of 1024), untrained, on the locator and the proposals of RUN. Ratios are medians over rounds of
two times of the same round; one thread everywhere. Memory is of a process of its own that ran one recording.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from punctum.export.bundle import export_bundle
from punctum.export.graphs.export import export_center, export_locator
from punctum.runtime import Bundle, Dataset, Localizer, evaluate
from punctum.runtime.backends.onnxruntime.backend import OnnxBackend
from punctum.runtime.backends.onnxruntime.session import open_session
from punctum.runtime.backends.options import EngineOptions, EngineSpec
from punctum.runtime.bench import Timed
from punctum.runtime.evaluation.average_precision import Detections
from punctum.runtime.live import LiveOptions
from punctum.training import load_run
from punctum.training.models.center import PublishedCenterHead
from punctum.training.models.torch_backend import localizer_of
from result_file import add_json, rows_of, save

BASE, PUBLISHED = "torch eager", "torch eager, published head sizes"
COMPILED, TORCH_GRAPHS, LEAN = "torch compiled", "ONNX Runtime fp32, graphs of torch", "ONNX Runtime fp32"
BUCKETED, INT8, INT8_BUCKETED = "ONNX Runtime fp32, buckets", "ONNX Runtime int8", "ONNX Runtime int8, buckets"
BUCKETS = (64, 80, 96, 128, 192, 256)
STAGES = ("locator", "scorer", "post", "all")
LIVE = LiveOptions(max_delay_s=1.0)


class PublishedSizes(PublishedCenterHead):
    """The published head at its published widths, for features of any width."""

    def __init__(self, config: Any, *, dim: int, classes: int, max_context: float) -> None:
        super().__init__(config, dim=dim, classes=classes, max_context=max_context)
        self.fusion = torch.nn.Linear(3 * dim, 2048)
        self.classifier, self.attention, self.center = (self._branch(2048, 1024, n) for n in (classes + 1, 1, 1))


def open_row(name: str, run_path: str, bundle_path: str) -> Localizer:
    """bundle_path: exported from the run, with int8 for the rows that need it."""
    torch.set_num_threads(1)
    if name in (LEAN, BUCKETED, INT8, INT8_BUCKETED):
        options = EngineOptions(buckets=BUCKETS if name in (BUCKETED, INT8_BUCKETED) else ())
        return Localizer(
            Bundle.load(bundle_path), precision="int8" if name in (INT8, INT8_BUCKETED) else "fp32", options=options
        )
    run = load_run(run_path)
    localizer = localizer_of(run)
    backend: Any = localizer.backend
    if name == PUBLISHED:
        config = run.center.config.model_copy(update={"kind": "published"})
        torch.manual_seed(0)
        bound = float(run.center.pooling.max_context)
        backend.center = PublishedSizes(config, dim=run.feature_spec.dim, classes=len(run.labels), max_context=bound)
        backend.center.eval()
    if name == COMPILED:
        backend.locator = torch.compile(backend.locator, dynamic=True)
        backend.center = torch.compile(backend.center, dynamic=True)
    if name == TORCH_GRAPHS:
        dim, classes = run.feature_spec.dim, len(run.labels)
        graphs = export_locator(run.locator, dim), export_center(run.center, dim, classes)
        sessions = [open_session(graph, "a graph", purpose="timing") for graph in graphs]
        localizer = localizer.with_backend(OnnxBackend(*sessions, classes=classes, dim=dim, spec=EngineSpec()))
    return localizer


def live(localizer: Localizer, features: Any) -> None:
    session = localizer.session(live=LIVE)
    for first in range(0, len(features), session.hop):
        session.push(features[first : first + session.hop])
    session.flush()


def measure(localizer: Localizer, videos: list[Any], work: Callable[[Localizer, Any], Any]) -> dict[str, float]:
    """Milliseconds a second of media."""
    media = sum(map(len, videos)) * localizer.plan.stride_s
    plain = localizer.backend
    timed = Timed(plain)
    if getattr(plain, "buckets", ()):
        timed.buckets = plain.buckets  # type: ignore[attr-defined]
    measured = localizer.with_backend(timed)
    began = time.perf_counter()
    for features in videos:
        work(measured, features)
    total = time.perf_counter() - began
    parts = (timed.locate_s, timed.score_s, total - timed.locate_s - timed.score_s, total)
    return {stage: 1e3 * spent / media for stage, spent in zip(STAGES, parts, strict=True)}


def mean_ap(localizer: Localizer, data: Dataset) -> float:
    truth = data.truth()
    events = {video: localizer.localize(data.features(video), stream=video) for video in truth.videos}
    return float(evaluate(truth, Detections.from_events(events, truth)).average)


def weigh(pipe: Any, name: str, run: str, bundle: str, features: Any) -> None:
    """Sends MiB of resident memory after one recording."""
    open_row(name, run, bundle).localize(features)
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    pipe.send(next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmRSS")))


def memory(*given: Any) -> float:
    """NaN where a process of its own gives no answer. It has loaded torch in every row, as this script does."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=weigh, args=(there, *given), daemon=True)
    process.start()
    there.close()
    try:
        return float(here.recv()) if here.poll(180) else float("nan")
    except EOFError:
        return float("nan")
    finally:
        process.join(timeout=5)
        if process.is_alive():
            process.kill()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run")
    parser.add_argument("data")
    parser.add_argument("--split")
    parser.add_argument("--bundle")
    parser.add_argument("--published")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=120.0, help="of test videos in a round")
    parser.add_argument("--no-compile", action="store_true")
    add_json(parser)
    options = parser.parse_args()
    data = Dataset.open(options.data, split=options.split)
    with tempfile.TemporaryDirectory() as folder:
        bundle = options.bundle
        if bundle is None:
            bundle = f"{folder}/bundle"
            export_bundle(load_run(options.run), bundle)
        record = compare(options, data, bundle)
    print(table(record))
    save(options.json, rows_of(record["rows"]), details=record)


def compare(options: argparse.Namespace, data: Dataset, bundle: str) -> dict[str, Any]:
    names = [BASE, PUBLISHED, TORCH_GRAPHS, LEAN, BUCKETED]
    names += [] if options.no_compile else [COMPILED]
    names += [INT8, INT8_BUCKETED] if "int8" in Bundle.load(bundle).manifest.precision else []
    videos, seconds = [], 0.0
    rows: dict[str, Localizer] = {}
    left_out: dict[str, str] = {}
    for name in names:
        rows[name] = open_row(name, options.run, bundle)
    for video in sorted(data.truth().videos):
        if seconds < options.seconds:
            videos.append(data.features(video).data)
            seconds += len(videos[-1]) * rows[BASE].plan.stride_s
    works = {"offline": lambda localizer, features: localizer.localize(features), "live": live}
    for name in names:
        try:  # warm; what the compiler cannot do here is a result too
            for work in works.values():
                measure(rows[name], videos[:1], work)
        except Exception as error:
            if name != COMPILED:
                raise
            left_out[name] = (str(error).splitlines() or [repr(error)])[0][:200]
            del rows[name]
    spent: dict[str, dict[str, list[dict[str, float]]]] = {n: {w: [] for w in works} for n in rows}
    for k in range(options.rounds):
        order = list(rows)
        random.Random(k).shuffle(order)
        for name in order:
            for kind, work in works.items():
                spent[name][kind].append(measure(rows[name], videos, work))
        print(f"round {k + 1} of {options.rounds}", file=sys.stderr)
    found: dict[str, Any] = {}
    for name in rows:
        kinds = {
            kind: {s: statistics.median(turn[s] for turn in turns) for s in STAGES}
            for kind, turns in spent[name].items()
        }
        faster = {
            kind: statistics.median(a["all"] / b["all"] for a, b in zip(spent[PUBLISHED][kind], turns, strict=True))
            for kind, turns in spent[name].items()
        }
        score = None if name == PUBLISHED else mean_ap(rows[name], data)
        if name == PUBLISHED and options.published:
            score = mean_ap(localizer_of(load_run(options.published)), data)
        mib = memory(name, options.run, bundle, videos[0])
        found[name] = {"ms": kinds, "times_faster_than_published": faster, "map": score, "rss_mib": mib}
    return {"media_s": seconds, "rounds": options.rounds, "rows": found, "left_out": left_out}


def table(record: dict[str, Any]) -> str:
    lines = [
        f"ms a second of media, {record['media_s']:.0f} s of media, {record['rounds']} rounds, one thread",
        "",
        "| | offline: locator | scorer | post | all | times faster "
        "| live: locator | scorer | post | all | times faster | MiB | mAP |",
        "|---|" + "---|" * 12,
    ]
    for name, row in record["rows"].items():
        cells = [name]
        for kind in ("offline", "live"):
            cells += [f"{row['ms'][kind][s]:.3g}" for s in STAGES]
            cells.append(f"{row['times_faster_than_published'][kind]:.1f}")
        cells += [f"{row['rss_mib']:.0f}", "" if row["map"] is None else f"{100 * row['map']:.2f}"]
        lines.append("| " + " | ".join(cells) + " |")
    lines += [f"\n{name}: left out, {why}" for name, why in record["left_out"].items()]
    return "\n".join(lines)


if __name__ == "__main__":
    main()

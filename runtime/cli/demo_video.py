"""The demo with a video: render one from an unseen seed, stream it through the included bundle, write the report."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from ..errors import InputError
from ..text.display import counted
from .terminal import cell, console, echo, echo_json, say

if TYPE_CHECKING:
    from ..bundle.reader import Bundle
    from ..events.event import Event
    from ..report import Action, RecordingReport, ThumbnailTaker
    from ..sources.video import VideoSource
    from ._engine import EngineChoice

UNSEEN = 2_000_003  # added to the seed: the included bundle was trained on videos of small seeds
MAX_DELAY_S = 1.0


class Summary(TypedDict):
    """What a demo found, for JSON."""

    bundle: str
    actions: int
    found: int
    false_alarms: int
    mean_iou: float
    ready_s: float
    real_time_factor: float
    events: list[object]


class VideoSummary(Summary):
    """As `Summary`, with the files and when the first event was reported."""

    video: str
    report: str
    first_event_s: float | None


@dataclass(frozen=True, slots=True)
class _Match:
    """An action of the ground truth and the event that matches it, or None, with their tIoU."""

    action: Action
    event: Event | None
    iou: float


def demo_video(
    *, seed: int, seconds: float, min_score: float | None, out: Path, as_json: bool, engine: EngineChoice
) -> None:
    """Raises InputError and PunctumError; MissingDependencyError where ONNX Runtime, PyAV or jinja2 is absent."""
    began = time.perf_counter()
    from punctum import kernels

    from ..bundle.operating_point import OperatingPoint, minimum
    from ..bundle.reader import SHIPPED, Bundle
    from ..errors import MissingDependencyError
    from ..files.atomic import atomic_folder
    from ..live import LiveOptions
    from ..report import Action, write_report
    from ..report.recording import need_jinja
    from ..service.event_filter import EventFilter
    from ..sources.items import Chunk
    from ..sources.open import video_source
    from ..synthetic.video import LABELS, render
    from ..synthetic.video.dataset import encode
    from ..warmup import warm_up

    _check_out(out)
    bundle = Bundle.load(SHIPPED)
    localizer = engine.localizer(bundle)
    try:
        import av  # noqa: F401
    except ImportError:
        raise MissingDependencyError("av", "video", "the demo with a video (or use --sensors)") from None
    need_jinja()
    kernels.warm_up("demo")
    warm_up(localizer, LiveOptions(max_delay_s=MAX_DELAY_S))
    if not as_json:
        say(f"rendering a video of {seconds:.0f} s")
    scene = render(UNSEEN + seed, seconds=seconds)
    truth = [Action(LABELS[c], start, end) for c, start, end in scene.actions]
    with atomic_folder(out, replace=True) as draft:
        video = draft / f"scene-{seed}.mp4"
        encode(scene, video)
        ready_s = time.perf_counter() - began
        if not as_json:
            echo(f"{out / video.name}: {seconds:.0f} s, {counted(len(truth), 'action')}, ready after {ready_s:.1f} s")
        source = video_source(str(video), bundle, spec=engine.spec())
        pictures = _tap(source)
        live = LiveOptions(max_delay_s=MAX_DELAY_S)
        least = OperatingPoint(min_score).of(bundle.manifest.calibration, bundle.labels)
        floor = min(minimum(least, label) for label in bundle.labels)
        events: list[Event] = []
        first_s: float | None = None
        began_stream = time.perf_counter()
        passing = EventFilter(min_score=least)
        passed: list[Event] = []
        session = localizer.session(stream=video.stem, live=live)
        source.open()
        try:
            for item in source.items():
                fresh = session.push(item.rows, at=item.at, lost=item.lost) if isinstance(item, Chunk) else []
                first_s = time.perf_counter() - began if fresh and first_s is None else first_s
                events += fresh
                passed += (shown := passing(fresh))
                if not as_json:
                    _print_events(shown, truth)
            fresh = session.flush()
            events += fresh
            passed += (shown := passing(fresh))
            if not as_json:
                _print_events(shown, truth)
        finally:
            source.close()
        spent = time.perf_counter() - began_stream
        stages = {**source.stats.seconds(), "locator": session.stats.locate_s, "islands": session.stats.islands_s}
        stages |= {
            "scorer": session.stats.score_s,
            "post": session.stats.post_s,
            "live reports": session.stats.report_s,
        }
        report = draft / "report.html"
        if not as_json:
            say("writing the report")
        write_report(report, _report(bundle, engine, video, events, truth, pictures, stages, floor, out / video.name))
    finals = [e for e in passed if e.phase == "final"]
    rows_ = _matches(truth, finals)
    found = [m for m in rows_ if m.event is not None]
    record: VideoSummary = {
        "bundle": bundle.id,
        "video": str(out / video.name),
        "report": str(out / report.name),
        "actions": len(rows_),
        "found": len(found),
        "false_alarms": len(finals) - len(found),
        "mean_iou": sum(m.iou for m in found) / max(len(found), 1),
        "ready_s": ready_s,
        "first_event_s": first_s,
        "real_time_factor": spent / seconds,
        "events": [json.loads(e.to_json()) for e in passed],
    }
    if as_json:
        echo_json(record)
        return
    _show(rows_, record)


def _check_out(out: Path) -> None:
    """Only the results of an earlier demo are replaced. Raises InputError for anything else."""
    from ..files.outputs import check_folder

    check_folder(out, [])
    if not out.exists() and not out.is_symlink():
        return
    ours = out.is_dir() and not out.is_symlink()
    if ours and all(p.name == "report.html" or fnmatch(p.name, "scene-*.mp4") for p in out.iterdir()):
        return
    raise InputError(
        "output-exists",
        f"{out} exists and is not the folder of an earlier demo",
        "a new folder, or one with nothing but the results of a demo",
        "choose another --out",
    )


def _tap(source: VideoSource) -> ThumbnailTaker:
    """Pictures for the report, taken while the frames pass by."""
    from ..report import ThumbnailTaker
    from ..video.tapped import TappedFrames

    taker = ThumbnailTaker()
    source.frames = TappedFrames(source.frames, taker.offer, start_s=source.start_s)
    return taker


def _print_events(events: Sequence[Event], truth: Sequence[Action]) -> None:
    """Print one line per report: when it was made, its content, and the matching action of the ground truth."""
    for e in events:
        best = max((_iou(a, e) for a in truth if a.label == e.label), default=0.0)
        match = f"true, IoU {best:.2f}" if best >= 0.1 else "no such action"
        running = " ..." if not e.ended else ""
        echo(
            f"  {e.emitted_at:6.2f} s  {e.phase:<9} {e.label:<10} {e.start:6.2f} - {e.end:6.2f}{running:4} "
            f"score {e.score:.2f}   {match}"
        )


def _iou(action: Action, event: Event) -> float:
    inter = min(action.end, event.end) - max(action.start, event.start)
    union = max(action.end, event.end) - min(action.start, event.start)
    return max(inter, 0.0) / union if union > 0 else 0.0


def _matches(truth: Sequence[Action], finals: Sequence[Event]) -> list[_Match]:
    """One to one, best overlap first."""
    pairs = sorted(
        ((_iou(a, e), i, k) for i, a in enumerate(truth) for k, e in enumerate(finals) if a.label == e.label),
        key=lambda p: -p[0],
    )
    taken: dict[int, tuple[int, float]] = {}
    used: set[int] = set()
    for iou, i, k in pairs:
        if iou >= 0.1 and i not in taken and k not in used:
            taken[i] = (k, iou)
            used.add(k)
    return [
        _Match(a, finals[taken[i][0]] if i in taken else None, taken[i][1] if i in taken else 0.0)
        for i, a in enumerate(truth)
    ]


def _report(
    bundle: Bundle,
    engine: EngineChoice,
    video: Path,
    events: Sequence[Event],
    truth: Sequence[Action],
    pictures: ThumbnailTaker,
    stages: dict[str, float],
    floor: float,
    shown: Path,
) -> RecordingReport:
    """The page. Tracks and proposals are made again from the whole recording, as `punctum report` does."""
    from dataclasses import replace

    from ..report import report_recording

    made = report_recording(
        bundle, video, truth=truth, events=events, title=f"punctum demo: {shown.stem}", spec=engine.spec()
    )
    return replace(made, thumbnails=pictures.thumbnails, stages=stages, max_delay_s=MAX_DELAY_S, min_score=floor)


def _show(rows: Sequence[_Match], record: VideoSummary) -> None:
    from rich.table import Table

    table = Table(title="actions in the video, and the final events that found them")
    for column in ("truth", "start", "end", "found from", "to", "score", "IoU"):
        table.add_column(column, justify="left" if column == "truth" else "right")
    for m in rows:
        cells = [m.action.label, f"{m.action.start:.2f}", f"{m.action.end:.2f}"]
        if m.event is None:
            cells += ["[red]missed[/red]", "", "", ""]
        else:
            cells += [f"{m.event.start:.2f}", f"{m.event.end:.2f}", f"{m.event.score:.2f}", f"{m.iou:.2f}"]
        table.add_row(*cells)
    shown = console()
    shown.print(table)
    shown.print(
        f"{record['found']} of {counted(record['actions'], 'action')} found, "
        f"{counted(record['false_alarms'], 'false alarm')}, mean IoU "
        f"{record['mean_iou']:.2f}; {1 / max(record['real_time_factor'], 1e-9):.1f} times real time"
    )
    shown.print(cell(f"bundle {record['bundle']}"))
    shown.print(cell(f"report {record['report']}"), soft_wrap=True)

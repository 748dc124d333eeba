"""From a bundle and a recording (features or video) to what the report shows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..backends.options import CPU, EngineSpec
from ..datatypes import compact
from ..errors import InputError, MissingDependencyError
from ..events.event import Event
from ..events.validate import MAX_S, PHASES, check_numbers, check_phase
from ..features.features import Features, load_features
from ..live import LiveOptions
from ..session.session import Session
from ..text.display import as_utf8, counted, were
from ._model import Action, Candidate, RecordingReport, Thumbnail, check_segment
from ._tracks import MOST, candidates_of, thin_candidates, tracks_of
from .facts import bundle_facts, machine_facts

if TYPE_CHECKING:
    from ..bundle.reader import Bundle
    from ..localizer import Localizer


@compact
@dataclass(slots=True, eq=False, repr=False)
class Footage:
    """A recording as read: unbroken stretches of features, pictures, seconds of compute per stage, frames lost."""

    stretches: list[Features]
    thumbnails: tuple[Thumbnail, ...] = ()
    stages: dict[str, float] = field(default_factory=dict)
    lost: int = 0

    @property
    def start_s(self) -> float:
        return self.stretches[0].start_s

    @property
    def duration_s(self) -> float:
        last = self.stretches[-1]
        return last.start_s + last.duration_s - self.start_s


def read_footage(
    bundle: Bundle,
    localizer: Localizer,
    path: str | Path,
    *,
    spec: EngineSpec = CPU,
    pictures: bool = True,
    fps: float | None = None,
) -> Footage:
    """Features from a `.npy` file, or from a video through the bundle's backbone. Raises InputError."""
    from ..sources.open import is_video_input, video_source

    path = Path(path)
    if not path.exists():
        raise InputError("input-missing", f"{path} does not exist", "a .npy file or a video file", "check the path")
    if path.is_dir():
        raise InputError(
            "input-folder", f"{path} is a folder", "one .npy file or video", "give one, or --data for a data set"
        )
    if not is_video_input(str(path)):
        if fps is not None:
            raise InputError(
                "video-rate",
                f"--fps {fps:g} for {path}, which is not a video",
                "a video without time stamps",
                "leave out --fps",
            )
        return Footage([load_features(path, stride_s=localizer.plan.stride_s, dim=localizer.plan.dim)])
    source: Any = video_source(str(path), bundle, fps=fps, spec=spec)
    return _read_video(bundle, str(path), source, pictures=pictures)


def _read_video(bundle: Bundle, address: str, source: Any, *, pictures: bool) -> Footage:
    from ..sources.video import coalesce
    from .thumbnails import TappedFrames, ThumbnailTaker

    taker = ThumbnailTaker()
    if pictures:
        source.frames = TappedFrames(source.frames, taker, start_s=source.start_s)
    stride_s = bundle.manifest.features.stride_s
    parts: list[tuple[float, list[Any]]] = []
    lost = 0
    source.open()
    try:
        for chunk in coalesce(source.items()):
            lost += chunk.dropped
            if chunk.at is not None or not parts:
                parts.append((source.start_s if chunk.at is None else chunk.at, []))
            parts[-1][1].append(chunk.rows)
    finally:
        source.close()
    if not parts:
        raise InputError(
            "video-too-short", f"{address} gave no snippet", f"at least {stride_s:g} s of video", "check the file"
        )
    stretches = [Features(np.concatenate(rows), stride_s, at) for at, rows in parts]
    spent = source.stats
    stages = {
        "decode": max(spent.decode_s - taker.spent_s, 0.0),
        "preprocess": spent.preprocess_s,
        "backbone": spent.backbone_s,
    }
    return Footage(stretches, taker.thumbnails, stages, max(lost, spent.lost))


def say(
    localizer: Localizer, footage: Footage, *, stream: str, max_delay_s: float | None
) -> tuple[list[Event], dict[str, float]]:
    """Everything a session says about the recording, and its seconds per stage."""
    only = footage.stretches[0]
    if max_delay_s is None and len(footage.stretches) == 1:
        found = localizer.localize(only, stream=stream, start_s=only.start_s)
        events, stats = list(found), found.stats
    else:
        live = None if max_delay_s is None else LiveOptions(max_delay_s=max_delay_s)
        session: Session = localizer.session(stream=stream, start_s=only.start_s, live=live)
        events = []
        for stretch in footage.stretches:
            events += session.push(stretch.data, at=stretch.start_s)
        events += session.flush()
        stats = session.stats
    stages = {"locator": stats.locate_s, "islands": stats.islands_s, "scorer": stats.score_s, "post": stats.post_s}
    if max_delay_s is not None:
        stages["live reports"] = stats.report_s
    return events, stages


def report_recording(
    bundle: Bundle,
    path: str | Path,
    *,
    truth: Sequence[Action] | None = None,
    events: Sequence[Event] | None = None,
    max_delay_s: float | None = None,
    title: str = "",
    spec: EngineSpec = CPU,
    fps: float | None = None,
    warn: Callable[[str], None] | None = None,
) -> RecordingReport:
    """Run `bundle` on a `.npy` file or a video and gather what the page shows.

    truth: true actions, where known. events: recorded ones to show instead of a run's own. max_delay_s: run as a stream
    with this maximum reporting delay in seconds, and show the phases. fps: the rate of a video that carries no
    time stamps. warn: told what of the recording is missing, where something is. Raises InputError.
    """
    from punctum import kernels

    from ..localizer import Localizer

    name = as_utf8(Path(path).stem)
    localizer = Localizer.open(bundle, spec)
    kernels.warm_up()
    footage = read_footage(bundle, localizer, path, spec=spec, fps=fps)
    missing = _missing(footage)
    if missing and warn is not None:
        warn(f"{name}: {' '.join(missing)}")
    stages = dict(footage.stages)
    if events is None:
        said, spent = say(localizer, footage, stream=name, max_delay_s=max_delay_s)
        stages |= spent
    else:
        said = list(events)
    tracks = tuple(tracks_of(localizer, stretch) for stretch in footage.stretches)
    candidates: list[Candidate] = []
    for stretch, track in zip(footage.stretches, tracks, strict=True):
        candidates += candidates_of(localizer, stretch, track)
    return RecordingReport(
        title=title or name,
        labels=localizer.labels,
        duration_s=footage.duration_s,
        start_s=footage.start_s,
        events=tuple(said),
        source=as_utf8(Path(path).name),
        truth=None if truth is None else tuple(truth),
        tracks=tracks,
        candidates=thin_candidates(candidates),
        thresholds=localizer.plan.post.class_thresholds,
        thumbnails=footage.thumbnails,
        stages=stages,
        max_delay_s=max_delay_s,
        bundle=bundle_facts(bundle),
        machine=machine_facts(device=localizer.backend.actual, threads=spec.threads, precision=spec.precision),
        notes=_notes(footage, bundle, said, len(candidates)),
    )


def _missing(footage: Footage) -> list[str]:
    """What of the recording is not in the report."""
    notes = []
    if footage.stretches[0].start_s > 0:
        notes.append(f"The video starts at {footage.stretches[0].start_s:.2f} s; nothing is known before that.")
    for before, after in zip(footage.stretches, footage.stretches[1:], strict=False):
        end = before.start_s + before.duration_s
        notes.append(f"Nothing is known from {end:.2f} s to {after.start_s:.2f} s: the recording has a gap there.")
    if footage.lost:
        notes.append(f"{counted(footage.lost, 'frame')} of the video {were(footage.lost)} lost in reading.")
    return notes


def _notes(footage: Footage, bundle: Bundle, events: Sequence[Event], candidates: int) -> tuple[str, ...]:
    notes = _missing(footage)
    strange = sorted({e.bundle for e in events} - {bundle.id, ""})
    if strange:
        notes.append(f"The events were made by another bundle: {', '.join(strange[:3])}.")
    if candidates > MOST:
        notes.append(f"Of {candidates:,} proposals the {MOST:,} best, spread over the recording, are drawn.")
    return tuple(notes)


def read_actions(path: str | Path, video: str, labels: tuple[str, ...]) -> tuple[Action, ...]:
    """True actions of one video from a file in ActivityNet form. Raises InputError."""
    from ..datasets.dataset import read_truth

    truth = read_truth(Path(path), (video,), labels)
    return tuple(Action(labels[c], float(a), float(b)) for c, (a, b) in zip(truth.label, truth.segments, strict=True))


def read_events(path: str | Path, stream: str, labels: tuple[str, ...]) -> tuple[Event, ...]:
    """Events of one stream from JSON Lines, all phases. A file of a single stream may call it anything.

    Raises InputError naming the line that is wrong, and for a file of several streams without this one.
    """
    from ..datasets.tables import read_text

    path = Path(path)
    try:
        text = read_text(path)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            "events-unreadable", f"{path} cannot be read ({error})", "JSON Lines of events", "check --events"
        ) from None
    streams: dict[str, list[Event]] = {}
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            event = Event.from_json(line)
            _check_event(event, labels)
        except InputError as error:
            raise InputError(
                error.code, f"{path} line {number}: {error.given}", error.allowed, "fix the line, or record again"
            ) from None
        streams.setdefault(str(event.stream), []).append(event)
    if stream in streams:
        return tuple(streams[stream])
    if len(streams) == 1:
        return tuple(next(iter(streams.values())))
    if not streams:
        return ()
    names = ", ".join(sorted(streams)[:5])
    raise InputError(
        "events-other-stream",
        f"{path} holds {len(streams)} streams ({names}) and none is {stream!r}",
        "a file that holds the stream of the input, named like it",
        "name the input like its stream",
    )


def _check_event(event: Event, labels: tuple[str, ...]) -> None:
    try:
        check_numbers(event)
        check_phase(event)
    except ValueError as error:
        raise InputError(
            "event-invalid", str(error), f"numbers within {MAX_S:g} of 0, a phase of {', '.join(PHASES)}"
        ) from None
    check_segment(event.start, event.end, event.score, f"event {event.id}")
    if event.label not in labels:
        raise InputError("label-unknown", f"label {event.label!r}", ", ".join(labels))


def need_jinja() -> Any:
    """The template engine. Raises MissingDependencyError."""
    try:
        import jinja2
    except ImportError:
        raise MissingDependencyError("jinja2", "report", "writing a report") from None
    return jinja2

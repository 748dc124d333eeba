"""The content of the report of a bundle on one recording: features or a video."""

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
from ._model import Action, Proposal, RecordingReport, Thumbnail, check_segment
from ._tracks import MOST, proposals_of, thin_proposals, tracks_of
from .facts import bundle_facts, machine_facts

if TYPE_CHECKING:
    from ..bundle.reader import Bundle
    from ..localizer import Localizer


@compact
@dataclass(slots=True, eq=False, repr=False)
class Footage:
    """A recording as read: spans of features without gaps, thumbnails, seconds of compute per stage, lost frames."""

    spans: list[Features]
    thumbnails: tuple[Thumbnail, ...] = ()
    stages: dict[str, float] = field(default_factory=dict)
    lost: int = 0

    @property
    def start_s(self) -> float:
        return self.spans[0].start_s

    @property
    def duration_s(self) -> float:
        last = self.spans[-1]
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
    """Read features from a `.npy` file, or compute them from a video with the bundle's backbone. Raises InputError."""
    from ..sources.open import is_video_input, video_source

    path = Path(path)
    if not path.exists():
        raise InputError(
            "input-missing",
            f"{path} does not exist",
            required="a .npy file or a video file",
            next_step="check the path",
        )
    if path.is_dir():
        raise InputError(
            "input-folder",
            f"{path} is a folder",
            required="one .npy file or video",
            next_step="name a file, or use `data` for a data set",
        )
    if not is_video_input(str(path)):
        if fps is not None:
            raise InputError(
                "video-rate",
                f"`fps={fps:g}` does not apply to {path}, which is not a video",
                required="a video without timestamps",
                next_step="leave out `fps`",
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
            "video-too-short",
            f"{address} is shorter than one snippet",
            required=f"at least {stride_s:g} s of video",
            next_step="check the file",
        )
    spans = [Features(np.concatenate(rows), stride_s, at) for at, rows in parts]
    spent = source.stats
    stages = {
        "decode": max(spent.decode_s - taker.spent_s, 0.0),
        "preprocess": spent.preprocess_s,
        "backbone": spent.backbone_s,
    }
    return Footage(spans, taker.thumbnails, stages, max(lost, spent.lost))


def run_footage(
    localizer: Localizer, footage: Footage, *, stream: str, max_delay_s: float | None
) -> tuple[list[Event], dict[str, float]]:
    """Run a bundle on a recording: all events of the session, and seconds of compute per stage."""
    first = footage.spans[0]
    if max_delay_s is None and len(footage.spans) == 1:
        result = localizer.localize(first, stream=stream, start_s=first.start_s)
        events, stats = list(result), result.stats
    else:
        live = None if max_delay_s is None else LiveOptions(max_delay_s=max_delay_s)
        session: Session = localizer.session(stream=stream, start_s=first.start_s, live=live)
        events = []
        for span in footage.spans:
            events += session.push(span.data, at=span.start_s)
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
    """Run a bundle on a `.npy` file or a video and collect the content of the page.

    Args:
        bundle: The bundle.
        path: A `.npy` file or a video.
        truth: True actions, if known.
        events: Recorded events to show instead of those of the run.
        max_delay_s: Run as a stream with this maximum reporting delay in seconds, and show the phases.
        title: Title of the page. Default: name of the recording.
        spec: Device, precision and threads of the engine.
        fps: Frame rate of a video without timestamps.
        warn: Called with a message if parts of the recording are missing.

    Raises:
        InputError: The recording cannot be read, or the engine cannot be opened.
    """
    from punctum import kernels

    from ..localizer import Localizer

    name = as_utf8(Path(path).stem)
    localizer = Localizer.open(bundle, spec)
    kernels.warm_up("run")
    footage = read_footage(bundle, localizer, path, spec=spec, fps=fps)
    missing = _missing(footage)
    if missing and warn is not None:
        warn(f"{name}: {' '.join(missing)}")
    stages = dict(footage.stages)
    if events is None:
        made, spent = run_footage(localizer, footage, stream=name, max_delay_s=max_delay_s)
        stages |= spent
    else:
        made = list(events)
    tracks = tuple(tracks_of(localizer, span) for span in footage.spans)
    proposals: list[Proposal] = []
    for span, track in zip(footage.spans, tracks, strict=True):
        proposals += proposals_of(localizer, span, track)
    return RecordingReport(
        title=title or name,
        labels=localizer.labels,
        duration_s=footage.duration_s,
        start_s=footage.start_s,
        events=tuple(made),
        source=as_utf8(Path(path).name),
        truth=None if truth is None else tuple(truth),
        tracks=tracks,
        proposals=thin_proposals(proposals),
        thresholds=localizer.plan.post.class_thresholds,
        thumbnails=footage.thumbnails,
        stages=stages,
        max_delay_s=max_delay_s,
        bundle=bundle_facts(bundle),
        machine=machine_facts(device=localizer.backend.actual, threads=spec.threads, precision=spec.precision),
        notes=_notes(footage, bundle, made, len(proposals)),
    )


def _missing(footage: Footage) -> list[str]:
    """Sentences about missing parts of the recording."""
    notes = []
    if footage.spans[0].start_s > 0:
        notes.append(f"The video starts at {footage.spans[0].start_s:.2f} s; there are no results before that.")
    for before, after in zip(footage.spans, footage.spans[1:], strict=False):
        end = before.start_s + before.duration_s
        notes.append(f"There are no results from {end:.2f} s to {after.start_s:.2f} s: the recording has a gap.")
    if footage.lost:
        notes.append(f"{counted(footage.lost, 'frame')} of the video {were(footage.lost)} lost while reading.")
    return notes


def _notes(footage: Footage, bundle: Bundle, events: Sequence[Event], proposals: int) -> tuple[str, ...]:
    notes = _missing(footage)
    strange = sorted({e.bundle for e in events} - {bundle.id, ""})
    if strange:
        notes.append(f"The events are from another bundle: {', '.join(strange[:3])}.")
    if proposals > MOST:
        notes.append(f"Of {proposals:,} proposals, the {MOST:,} best are shown, spread over the recording.")
    return tuple(notes)


def read_actions(path: str | Path, video: str, labels: tuple[str, ...]) -> tuple[Action, ...]:
    """Read the true actions of one video from a file in ActivityNet format. Raises InputError."""
    from ..datasets.dataset import read_truth

    truth = read_truth(Path(path), (video,), labels)
    return tuple(Action(labels[c], float(a), float(b)) for c, (a, b) in zip(truth.label, truth.segments, strict=True))


def read_events(path: str | Path, stream: str, labels: tuple[str, ...]) -> tuple[Event, ...]:
    """Read the events of one stream from JSON Lines, all phases. The name of a file's only stream does not matter.

    Raises:
        InputError: A line is invalid, or the file has several streams and none of this name.
    """
    from ..datasets.tables import read_text

    path = Path(path)
    try:
        text = read_text(path)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            "events-unreadable",
            f"{path} cannot be read ({error})",
            required="JSON Lines of events",
            next_step="check `events`",
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
        f"{path} contains {len(streams)} streams ({names}), and none is {stream!r}",
        required="a file with a stream that has the name of the input",
        next_step="rename the input to the name of its stream",
    )


def _check_event(event: Event, labels: tuple[str, ...]) -> None:
    try:
        check_numbers(event)
        check_phase(event)
    except ValueError as error:
        raise InputError(
            "event-invalid",
            str(error),
            required=f"numbers from -{MAX_S:g} to {MAX_S:g}, and one of the phases {', '.join(PHASES)}",
        ) from None
    check_segment(event.start, event.end, event.score, f"event {event.id}")
    if event.label not in labels:
        raise InputError("label-unknown", f"The bundle has no class {event.label!r}", ", ".join(labels))


def need_jinja() -> Any:
    """The template engine. Raises MissingDependencyError."""
    try:
        import jinja2
    except ImportError:
        raise MissingDependencyError("jinja2", "report", "writing a report") from None
    return jinja2

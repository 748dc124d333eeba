"""What is left after a run with faults: events against those of the recordings offline, outputs, and declared gaps.

A **section** is the media of a camera between two declared gaps. A camera that is connected anew sends its recording
from the first frame, and a section begins on a grid of the stride, so it shows the recording from frame k on, with a
small k; after a step of time stamps, or where frames were dropped, it goes on in the middle. Which k it is follows from
the events: the places of the recording at which most of them would be are tried, and the one that agrees best counts.

The offline run is that of the same frames: those of the recording from frame k on, up to the end of the section. So
nothing next to the end of a section has to be left out: both runs know the same media. An event belongs to the section
that contains its middle. Two events are the same if class, start, end and score agree within TIME_S and SCORE.
Differences count as faults unless the event itself declares lost frames (`dropped`). Next to a gap they depend on the
frame at which it begins, which is known to a snippet only; `differences_away` counts those that are further from both
ends of their section than the networks look.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import cache, cached_property
from itertools import product, repeat
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from site_cameras import ASSETS, MIN_SCORE

TIME_S = 0.002
SCORE = 0.002
NEAR_S = 1.5  # starts of two events of one action that differ are at most so far apart, for the list of differences
FIRST_FRAMES = (0, 1, 2)
SHIFTS = (0, 1, -1, 2, -2)  # frames around a place of a recording at which a section may begin
MOST_PLACES = 3
LAST_S = 30.0  # at the end of the run that are not compared: what the networks look ahead, and the longest proposals
WALL_S = 4.0  # declared times of day may be so far off: what waited on the way when a camera went away

Served = list[tuple[float, Path]]  # since when a camera shows which recording


@dataclass(frozen=True, slots=True)
class Absence:
    """A camera sent nothing. camera: None: all of them."""

    kind: str
    camera: str | None
    start: float
    end: float


@dataclass(slots=True)
class Section:
    """A stretch of media of one camera. unix: when it began."""

    camera: str
    start_s: float
    end_s: float
    unix: float
    reason: str
    events: list[dict[str, Any]] = field(default_factory=list)
    shown: tuple[Path, int] | None = None
    """The recording and its first frame, once they are known."""
    compared_s: float = float("inf")
    """Media time up to which events are compared: the end of the run cuts the last section at an unknown frame."""


class Stored:
    """The database of a site that has ended."""

    def __init__(self, state: Path) -> None:
        with contextlib.closing(sqlite3.connect(state / "site.db")) as db:
            self.reports = [
                (received, json.loads(text)) for received, text in db.execute("SELECT received, json FROM reports")
            ]
            self.gaps = db.execute(
                "SELECT camera, start_s, end_s, start_unix, end_unix, reason FROM gaps ORDER BY camera, start_s"
            ).fetchall()
            self.epochs = {
                camera: float(json.loads(text).get("epoch_unix", 0.0))
                for camera, text in db.execute("SELECT camera, json FROM cameras")
            }

    @cached_property
    def finals(self) -> list[dict[str, Any]]:
        """All final reports."""
        return [report for _, report in self.reports if report["phase"] == "final"]

    def sections(self, stride_s: float, stopped: float) -> list[Section]:
        """The stretches between gaps, with their events. That before the first gap has no declared beginning.

        stopped: When the service was told to end, in Unix time.
        """
        found: dict[str, list[Section]] = defaultdict(list)
        for camera, start_s, end_s, _, end_unix, reason in self.gaps:
            sections = found[camera]
            if sections and start_s <= sections[-1].start_s + stride_s / 2:
                if end_s > sections[-1].start_s:  # the same gap, or two without media between them
                    sections[-1].start_s = end_s
                    sections[-1].unix, sections[-1].reason = end_unix or self.epochs[camera] + end_s, reason
                continue
            if sections:
                sections[-1].end_s = start_s
            sections.append(Section(camera, end_s, float("inf"), end_unix or self.epochs[camera] + end_s, reason))
        for sections in found.values():
            sections[-1].compared_s = sections[-1].start_s + stopped - sections[-1].unix - LAST_S
        for event in self.finals:
            middle = (event["start"] + event["end"]) / 2
            for section in found[event["stream"]]:
                if section.start_s <= middle < section.end_s and event["end"] < section.compared_s:
                    section.events.append(event)
        return [section for sections in found.values() for section in sections]


class Offline:
    """Events of parts of recordings, found offline. A recording is decoded once, and kept as input of the backbone.

    The recordings have the frame rate of the backbone, so that each cell of the sampling grid shows the next frame.
    """

    def __init__(self) -> None:
        from punctum.runtime import Bundle, Localizer
        from punctum.runtime.backbone.backbone import VideoBackbone

        bundle = Bundle.load(ASSETS / "default")
        self._localizer, self._backbone = Localizer(bundle), VideoBackbone.open(bundle)
        self.fps, self.stride_s = self._backbone.spec.fps, self._backbone.spec.stride_s
        self._planes: dict[Path, list[Any]] = {}
        self._rows: dict[tuple[Path, int], Any] = {}
        locator = bundle.manifest.locator
        self.field_s = max(locator.left, locator.right) * self.stride_s
        if self._backbone.spec.right_frames:
            raise SystemExit("rows of the features of this bundle depend on later frames")

    def planes(self, path: Path) -> list[Any]:
        """The frames of a recording."""
        from punctum.runtime.video import Sampled, open_frames

        if path not in self._planes:
            prepare, source = self._backbone.preprocessor(), open_frames(str(path), fps=self.fps)
            shown = [item for item in source.frames() if isinstance(item, Sampled)]
            source.close()
            self._planes[path] = [prepare(item.image, item.aspect) for item in shown]
        return self._planes[path]

    def features(self, path: Path, first: int, snippets: int) -> Any:
        """[T, D] of so many snippets of a recording, from frame `first` on.

        A row depends on the frames of a clip that ends with its own. So the rows of a recording from frame 0 on, from 1
        on, and so on, serve all sections, but for those at the beginning of a section, whose clip reaches back beyond
        it.
        """
        import numpy as np

        spec = self._backbone.spec
        size = spec.snippet_frames
        before, offset = divmod(first, size)
        if (path, offset) not in self._rows:
            self._rows[path, offset] = self._extracted(self.planes(path)[offset:])
        start = -(-spec.clip_frames // size) - 1  # rows whose clip reaches back beyond the beginning
        head = self._extracted(self.planes(path)[first : first + start * size])
        rows = self._rows[path, offset][before:]
        return np.concatenate([head, rows[len(head) :]])[:snippets]

    def _extracted(self, planes: list[Any]) -> Any:
        import numpy as np
        from punctum.runtime.backbone.extractor import Extractor

        extractor = Extractor(self._backbone, batch=8)
        rows = [extractor.push_prepared(plane) for plane in planes]
        return np.concatenate([*rows, extractor.flush()])

    def events(self, path: Path, first: int, section: Section) -> list[dict[str, Any]]:
        """What the offline run finds in the frames of a section, on its media time."""
        snippets = round(min((section.end_s - section.start_s) / self.stride_s, 1e6))
        found = self._localizer.localize(self.features(path, first, max(snippets, 0)), start_s=section.start_s)
        events = [json.loads(event.to_json()) for event in found if event.score >= MIN_SCORE]
        return [event for event in events if event["end"] < section.compared_s]


Near = Callable[[Section, float], str]  # names the fault next to a media time of a section


def all_compared(sections: Sequence[Section], served: dict[str, Served], near: Near) -> dict[str, Any]:
    """Events of all sections against offline runs, a process for each core. near: can be pickled."""
    of_camera: dict[str, list[Section]] = defaultdict(list)
    for section in sections:
        of_camera[section.camera].append(section)
    found: dict[str, Any] = {"counts": dict.fromkeys(COUNTS, 0), "lines": []}
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        for part in pool.map(compared, of_camera.values(), (served[camera] for camera in of_camera), repeat(near)):
            found["lines"] += part["lines"]
            for key, count in part["counts"].items():
                found["counts"][key] += count
    return found


@cache
def _offline() -> Offline:
    """One for all cameras that a process compares: some recordings were shown by several."""
    return Offline()


def compared(sections: Sequence[Section], served: Served, near: Near) -> dict[str, Any]:
    """Events of the sections of one camera against offline runs."""
    counts: dict[str, int] = defaultdict(int)
    lines: list[str] = []
    before: Section | None = None
    offline = _offline()
    for section in sections:
        counts["sections"] += 1
        section.shown, differences, same = _best(section, before, served, offline)
        before = section
        counts["events_compared"] += same + sum(1 for kind, *_ in differences if kind == "different")
        for kind, told, found in differences:
            event = told or found or {}
            declared = bool(told and told["dropped"] and not told["interrupted"])
            counts[f"events_{kind.replace(' ', '_')}"] += 1
            counts["differences_declared" if declared else "differences"] += 1
            away_s = min(event["start"] - section.start_s, section.end_s - event["end"])
            counts["differences_away"] += away_s > offline.field_s
            where = f"{section.camera} [{section.start_s:.1f}, {section.end_s:.1f}] after {section.reason!r}"
            file, first = section.shown or (Path("?"), 0)
            lines.append(
                f"{kind}{' (declared)' if declared else ''}: {where}, {file.stem} from frame {first}, told"
                f" {_shown(told)}, offline {_shown(found)}; {near(section, event['end'])}"
            )
    return {"counts": {key: counts[key] for key in COUNTS}, "lines": lines}


COUNTS = (
    "sections",
    "events_compared",
    "events_different",
    "events_offline_but_not_told",
    "events_told_but_not_offline",
    "differences_declared",
    "differences",
    "differences_away",
)
_Differences = list[tuple[str, dict[str, Any] | None, dict[str, Any] | None]]


def _best(
    section: Section, before: Section | None, served: Served, offline: Offline
) -> tuple[tuple[Path, int] | None, _Differences, int]:
    """Recording and first frame with which the events agree best, what differs then, and how many agree."""
    best: tuple[tuple[Path, int] | None, _Differences, int] | None = None
    for path, first in _once(_candidates(section, before, served, offline)):
        differences, same = _differences(section.events, offline.events(path, first, section))
        if best is None or _weight(differences) < _weight(best[1]):
            best = ((path, first), differences, same)
        if not differences or same > max(len(differences), 1):
            break  # the place is certain: at no other one do most events agree to the last digit
    return best or (None, [("told but not offline", event, None) for event in section.events], 0)


def _candidates(
    section: Section, before: Section | None, served: Served, offline: Offline
) -> Iterable[tuple[Path, int]]:
    """In order of their likelihood. What a camera showed is known by the wall clock, whose relation is not exact."""
    paths = [path for since, path in served if since <= section.unix + WALL_S]
    recent = [path for since, path in served if section.unix - WALL_S <= since <= section.unix + WALL_S]
    paths = list(dict.fromkeys([*paths[-1:], *recent, *paths[-2:-1]]))
    votes: Counter[tuple[Path, int]] = Counter()
    for path in paths:
        whole = offline.events(path, 0, Section("", 0.0, float("inf"), 0.0, ""))
        for told, found in product(section.events, whole):
            if told["label"] == found["label"]:
                votes[path, round((found["start"] - told["start"] + section.start_s) * offline.fps)] += 1
    close: Counter[tuple[Path, int]] = Counter()  # with those for frames nearby: starts lie on a grid
    for path, frame in votes:
        close[path, frame] = sum(votes[path, frame + shift] for shift in (-2, -1, 0, 1, 2))
    for (path, frame), _ in close.most_common(MOST_PLACES):
        yield from ((path, frame + shift) for shift in SHIFTS if frame + shift >= 0)
    for path in paths:
        yield from ((path, first) for first in FIRST_FRAMES)
    if before is not None and before.shown is not None:
        path, first = before.shown
        following = first + round((before.end_s - before.start_s) * offline.fps)
        yield from ((path, following + shift) for shift in SHIFTS if following + shift >= 0)


def _once(places: Iterable[tuple[Path, int]]) -> Iterable[tuple[Path, int]]:
    seen = set()
    for place in places:
        if place not in seen:
            seen.add(place)
            yield place


def _weight(differences: _Differences) -> tuple[int, float]:
    off = [abs(a["start"] - b["start"]) + abs(a["score"] - b["score"]) for _, a, b in differences if a and b]
    return len(differences) + len(differences) - len(off), sum(off)


def _differences(told: list[dict[str, Any]], found: list[dict[str, Any]]) -> tuple[_Differences, int]:
    """What differs between two lists of events, and how many agree."""
    left, differences, same = list(found), [], 0  # type: ignore[var-annotated]
    for event in told:
        alike = [one for one in left if one["label"] == event["label"] and abs(one["start"] - event["start"]) < NEAR_S]
        if not alike:
            if event["score"] >= MIN_SCORE + SCORE:
                differences.append(("told but not offline", event, None))
            continue
        other = min(alike, key=lambda one: (abs(one["start"] - event["start"]), abs(one["score"] - event["score"])))
        left.remove(other)
        if all(abs(other[key] - event[key]) <= TIME_S for key in ("start", "end")) and (
            abs(other["score"] - event["score"]) <= SCORE
        ):
            same += 1
        else:
            differences.append(("different", event, other))
    differences += [("offline but not told", None, one) for one in left if one["score"] >= MIN_SCORE + SCORE]
    return differences, same


def _shown(event: dict[str, Any] | None) -> str:
    if event is None:
        return "nothing"
    flags = "".join(f" {key}={event[key]}" for key in ("dropped", "interrupted", "degraded") if event.get(key))
    return f"{event['label']} {event['start']:.2f}-{event['end']:.2f} {event['score']:.3f}{flags}"


def undeclared(stored: Stored, absences: Sequence[Absence], cameras: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """Absences that no gap declares.

    The time for which a camera was killed, or the service was down, has to be covered by gaps but for WALL_S. A camera
    that is frozen sends later what it did not send before; if no gap is declared, the section goes on, and its events
    show whether a frame was lost: so that is only counted.
    """
    spans: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for camera, _, _, start, end, _ in stored.gaps:
        spans[camera].append((start, end))
    counts: dict[str, Any] = {
        "absences": 0,
        "absences_undeclared": 0,
        "freezes_without_gap": 0,
        "most_uncovered_s": 0.0,
    }
    lines = []
    for absence in absences:
        for camera in cameras if absence.camera is None else [absence.camera]:
            uncovered = _uncovered(absence.start, absence.end, sorted(spans[camera]))
            counts["absences"] += 1
            if absence.kind == "camera frozen":
                counts["freezes_without_gap"] += uncovered > WALL_S
                continue
            counts["most_uncovered_s"] = max(counts["most_uncovered_s"], round(uncovered, 2))
            if uncovered > WALL_S:
                counts["absences_undeclared"] += 1
                lines.append(f"undeclared: {camera}, {absence.kind}, {absence.start:.1f} for {uncovered:.1f} s")
    return counts, lines


def _uncovered(start: float, end: float, spans: list[tuple[float, float]]) -> float:
    missing, at = 0.0, start
    for begin, until in spans:
        if until <= at or begin >= end:
            continue
        missing += max(begin - at, 0.0)
        at = until
    return missing + max(end - at, 0.0)


def delivered(stored: Stored, file: list[dict[str, Any]], broker: list[dict[str, Any]]) -> dict[str, int]:
    """Final reports in the file and at the broker, against the stored ones."""
    wanted = {key_of(event) for event in stored.finals}
    told = [key_of(event) for event in file if event["phase"] == "final"]
    sent = [key_of(event) for event in broker if event["phase"] == "final"]
    ids = {key[:2] for key in sent}
    return {
        "final_events": len(wanted),
        "in_file_twice": len(told) - len(set(told)),
        "not_in_file": len(wanted - set(told)),
        "in_file_and_not_stored": len(set(told) - wanted),
        "at_broker_repeated": len(sent) - len(set(sent)),
        "not_at_broker": len(wanted - set(sent)),
        "at_broker_and_not_stored": len(set(sent) - wanted),
        "at_broker_two_finals_of_an_id": len(set(sent)) - len(ids),
    }


def key_of(event: dict[str, Any]) -> tuple[str, str, int]:
    """What identifies a report."""
    return event["stream"], event["event"], event["revision"]

"""BORIS projects (.boris): state events are actions, point events are clicks; many videos in one file.

An event counts from the start of its observation: through the media files of the first player, one after the other,
and from the observation's time offset on. Two events of one behavior, subject and set of modifiers are its start and
its end. Exports of events as tables: `_boris_tables`; projects written here: `_boris_write`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeGuard

from ..text.json_types import JsonObject, JsonValue
from ..text.names import media_name
from ._json import brief, listed, number, parse_json, positive, record, text_of
from ._model import Mark, Timelines, counted, gather
from ._naming import Origin, settle
from ._options import ReadOptions, Source

_ALLOWED = "a project of BORIS (.boris), or events that it exported as a table (TSV or CSV)"


@dataclass(frozen=True, slots=True)
class Media:
    """A media file of an observation: its origin, when it begins on the observation's clock, how long it is."""

    origin: Origin
    begins: float
    seconds: float | None
    fps: float | None = None


@dataclass(frozen=True, slots=True)
class Coded:
    """An event of BORIS: one instant. kind: START, STOP or POINT."""

    where: str
    time: float
    key: tuple[str, str, str]  # subject, behavior, modifiers
    kind: str


def looks_like_boris(found: JsonValue) -> TypeGuard[JsonObject]:
    """Whether JSON may be a project of BORIS."""
    return isinstance(found, dict) and {"behaviors_conf", "observations"} <= found.keys()


def read_project(source: Source, options: ReadOptions) -> Timelines:
    """Events of all observations of media; those of live observations have no video."""
    found = parse_json(source)
    if not looks_like_boris(found):
        raise source.wrong("it is not a project of BORIS", _ALLOWED)
    behaviors = [record(behavior) for behavior in record(found["behaviors_conf"]).values()]
    kinds = {text_of(behavior.get("code")): text_of(behavior.get("type")) for behavior in behaviors}
    reels: list[tuple[str, JsonObject, list[Media]]] = []
    counts: Counter[str] = Counter()
    for name, observation in record(found["observations"]).items():
        media = _media(source, name, record(observation), counts)
        if media:
            reels.append((name, record(observation), media))
    origins = [m.origin for _, _, media in reels for m in media]
    names = dict(zip(origins, settle(source.name, origins, options.same_video), strict=True))
    rows: list[tuple[str, Mark]] = []
    for name, observation, media in reels:
        events = _events(source, name, observation, kinds, counts)
        rows += marks_of(source, pair(events, counts), media, names, counts)
    return gather(
        rows,
        videos=[names[o] for o in origins],
        labels=[code for code in kinds if code.strip()],
        fps={names[m.origin]: m.fps for _, _, media in reels for m in media if m.fps},
        duration={names[m.origin]: m.seconds for _, _, media in reels for m in media if m.seconds},
        notes=notes_of(counts),
    )


def notes_of(counts: Counter[str]) -> list[str]:
    """Notes from counts of things."""
    return [what.replace("{n}", counted(n, what.partition("|")[0])).partition("|")[2] for what, n in counts.items()]


def _media(source: Source, name: str, observation: JsonObject, counts: Counter[str]) -> list[Media]:
    if observation.get("type") not in ("MEDIA", None):
        counts["observation|left out: {n} without media (live, or of images)"] += 1
        return []
    players = observation.get("file")
    reel = players.get("1") if isinstance(players, dict) else players
    files = [file for file in reel if isinstance(file, str) and file.strip()] if isinstance(reel, list) else []
    if not isinstance(reel, list) or len(files) < len(reel):
        raise source.wrong(f"observation {name[:60]!r}: media {brief(reel)}", _ALLOWED)
    if isinstance(players, dict) and any(listed(v) for k, v in players.items() if k != "1"):
        counts["observation|{n} with several players: times are those of the first"] += 1
    info = record(observation.get("media_info"))
    lengths, rates, created = (record(info.get(key)) for key in ("length", "fps", "media_creation_time"))
    if len(files) > 1 and any(positive(lengths.get(file)) is None for file in files[:-1]):
        raise source.wrong(f"observation {name[:60]!r}: several media, and not all with their length", _ALLOWED)
    begins = _number(source, name, observation.get("time offset") or 0)
    media = []
    for file in files:
        start = begins
        if observation.get("media_creation_date_as_offset"):
            start += _number(source, name, created.get(file))
        origin = Origin(media_name(file), file, f"observation {name}")
        media.append(Media(origin, start, positive(lengths.get(file)), positive(rates.get(file), 1e6)))
        if not observation.get("media_creation_date_as_offset"):
            begins += positive(lengths.get(file)) or 0.0
    return media


def _number(source: Source, name: str, value: JsonValue) -> float:
    try:
        return number(value)
    except ValueError as error:
        raise source.wrong(f"observation {name[:60]!r}: {error}", _ALLOWED) from None


def _events(
    source: Source, name: str, observation: JsonObject, kinds: dict[str, str], counts: Counter[str]
) -> Iterator[Coded]:
    """Events with their kinds: of the state events of a subject, every second one is an end."""
    running: set[tuple[str, str, str]] = set()
    items = observation.get("events", [])
    if not isinstance(items, list):
        raise source.wrong(f"observation {name[:60]!r}: its events are not a list", _ALLOWED)
    found: list[tuple[float, str, tuple[str, str, str], bool]] = []
    for row, item in enumerate(items):
        where = f"observation {name[:60]!r}, event {row}"
        texts = [text for text in item[1:4] if isinstance(text, str)] if isinstance(item, list) else []
        if not isinstance(item, list) or len(texts) < 3:
            raise source.wrong(f"{where}: {brief(item)}", _ALLOWED)
        subject, behavior, modifiers = texts
        kind = kinds.get(behavior)
        if kind is None:
            raise source.wrong(f"{where}: the behavior {behavior[:60]!r} is not among those of the project", _ALLOWED)
        try:
            time = number(item[0])
        except ValueError as error:
            raise source.wrong(f"{where}: {error}", _ALLOWED) from None
        found.append((time, where, (subject, behavior, modifiers), kind.lower().startswith("state")))
    found.sort(key=lambda event: event[0])  # as in BORIS: events added later are at the end of the file
    for time, where, key, lasting in found:
        state = "POINT"
        if lasting:
            state = "STOP" if key in running else "START"
            running ^= {key}
        yield Coded(where, time, key, state)


def pair(events: Iterable[Coded], counts: Counter[str]) -> Iterator[tuple[str, str, float, float | None]]:
    """(where, behavior, start, end; None for an instant) of events, whatever their order."""
    running: dict[tuple[str, str, str], Coded] = {}
    for event in sorted(events, key=lambda event: event.time):
        counts["event|left out: subjects of {n}"] += bool(event.key[0].strip() and event.key[0] != "No focal subject")
        counts["event|left out: modifiers of {n}"] += bool(event.key[2].strip(" |") and event.key[2] != "None")
        if event.kind == "POINT":
            yield event.where, event.key[1], event.time, None
        elif event.kind == "START":
            if event.key in running:
                counts["state event|left out: {n} without an end"] += 1
            running[event.key] = event
        elif (begun := running.pop(event.key, None)) is None:
            counts["state event|left out: {n} without a start"] += 1
        else:
            first, last = sorted((begun.time, event.time))
            yield begun.where, event.key[1], first, last
    if running:
        counts["state event|left out: {n} without an end"] += len(running)
    for what in [what for what, n in counts.items() if n == 0]:
        del counts[what]


def marks_of(
    source: Source,
    actions: Iterable[tuple[str, str, float, float | None]],
    media: list[Media],
    names: dict[Origin, str],
    counts: Counter[str],
) -> Iterator[tuple[str, Mark]]:
    """Marks on the clocks of their media files. An action that continues in the next file is split."""
    for where, label, start, end in actions:
        if end is None:
            file = _file_at(media, start)
            yield source.at(where), Mark(names[file.origin], label, _inside(start, file))
            continue
        first = _file_at(media, start)
        last = next((file for file in reversed(media) if file.begins < end), first)
        last = first if last.begins < first.begins else last
        if first is last:
            yield source.at(where), Mark(names[first.origin], label, _inside(start, first), _inside(end, first))
            continue
        counts["action|{n} that continue in the next media file: cut at its start"] += 1
        for file in media[media.index(first) : media.index(last) + 1]:
            begins = max(start, file.begins)
            ends = end if file is last else file.begins + (file.seconds or 0.0)
            if ends > begins:
                yield source.at(where), Mark(names[file.origin], label, _inside(begins, file), _inside(ends, file))


def _file_at(media: list[Media], time: float) -> Media:
    """The last media file that has begun."""
    return next((file for file in reversed(media) if file.begins <= time), media[0])


def _inside(time: float, file: Media) -> float:
    return round(time - file.begins, 6)

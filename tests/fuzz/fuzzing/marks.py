"""Readers of annotations and events. What is read is also written in every form and read again."""

from __future__ import annotations

import itertools
import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import Mutate, Target, WrongAnswer
from .mutate import change_json, change_json_line, change_lines, change_text

EVENT = {
    "schema": "punctum.event/1",
    "stream": "v",
    "event": "v-1",
    "revision": 0,
    "phase": "final",
    "label": "take",
    "score": 0.75,
    "start": 1.5,
    "end": 3.25,
    "emitted_at": 4.0,
    "delay_s": 0.75,
    "bundle": "b",
}
CLICKS = "class,video_id,time_s\ntake,v,2.25\nput down,w,7.5\n"


def lines_of_events() -> bytes:
    second = {**EVENT, "event": "v-2", "label": "put <&> 'it'", "start": 4.0, "end": 4.5, "score": 0.5}
    other = {**EVENT, "event": "w-1", "stream": "w", "revision": 1}
    phases = [
        {**EVENT, "event": "w-2", "stream": "w", "phase": phase, "ended": phase != "open"}
        for phase in ("open", "update", "retracted")
    ]
    return b"".join(json.dumps(e).encode() + b"\n" for e in [EVENT, second, other, *phases])


def as_written(form: str) -> bytes:
    """A file of a form, as punctum itself writes it."""
    from punctum.runtime.convert import FORMATS, ReadOptions, WriteOptions, read_rates
    from punctum.runtime.convert._options import Source

    rates = read_rates("25")
    first = lines_of_events().split(b"\n")[:2]
    lines = FORMATS["events"].read(Source("f.jsonl", b"\n".join(first), "v"), ReadOptions(rates=rates))
    data = FORMATS[form].write(lines, WriteOptions(rates=rates)).data
    return data.encode() if isinstance(data, str) else data


def ordinary(marks: Any) -> bool:
    """Whether every form can be asked to give these back: other forms round, shorten and refuse at their own limits,
    and say so."""
    seen = {(m.video, m.label, round(m.start, 1), m.end is None or round(m.end, 1)) for m in marks}
    return len(seen) == len(marks) and all(
        m.start < 86_400
        and (m.end is None or m.start + 0.2 <= m.end < 86_400)
        and (m.score is None or 0 <= m.score <= 1)
        and all(re.fullmatch(r"[A-Za-z][\w '.-]{0,60}", name) for name in (m.video, m.label))
        for m in marks
    )


def reading(form: str, more: list[bytes], mutate: Mutate, cases: int) -> Callable[[Path], Target]:
    def make(folder: Path) -> Target:
        from punctum.runtime.convert import FORMATS, ReadOptions, WriteOptions, read_rates
        from punctum.runtime.convert._options import Source
        from punctum.runtime.errors import InputError

        rates = read_rates("25")
        ending = FORMATS[form].endings[0]
        outputs = [f for f in FORMATS.values() if f.name != "parquet"]
        turn = itertools.count()

        def run(data: bytes) -> None:
            number = next(turn)
            options = ReadOptions(rates=rates, clicks=("marked", "all", "none")[number % 3])
            lines = FORMATS[form].read(Source(f"f{ending}", data, "f"), options)
            for mark in lines.marks:
                if mark.end is not None and not mark.start <= mark.end:
                    raise WrongAnswer(f"start after end: {mark}")
            into = outputs[number % len(outputs)]
            parts = list(itertools.islice(lines.apart(), 3)) if into.one_video else [lines]
            for part in parts:
                written = into.write(part, WriteOptions(rates=rates))
                made = written.data if isinstance(written.data, bytes) else written.data.encode()
                if not ordinary(part.marks):
                    continue
                unfit = (part.clicks and not into.clicks) or (part.clicks and part.actions and not into.mixed)
                if into.read is None or unfit or not part.marks:
                    continue
                try:
                    back = into.read(Source(f"b{into.endings[0]}", made, "b"), ReadOptions(rates=rates))
                except InputError as error:
                    raise WrongAnswer(f"{form} written as {into.name} cannot be read back: {error}") from error
                if len(back.marks) != len(part.marks) and not written.lost:
                    raise WrongAnswer(f"{form} to {into.name}: {len(part.marks)} marks became {len(back.marks)}")

        return Target([as_written(form), *more], run, mutate, cases)

    return make


TABS = "video\tstart\tend\tlabel\nv\t1.5\t3.25\ttake\nv\t00:00:04.000\t00:00:04.500\tput\n"
VTT = "WEBVTT - x\n\nNOTE no cue\n\n1\n00:01.500 --> 00:03.250 align:start\ntake (0.750)\n\n"
VTT += "00:00:04.000 --> 00:00:04.500\nput\n"
BOMB = '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x "y"><!ENTITY z "&x;&x;&x;">]>'
BOMB += "<ANNOTATION_DOCUMENT>&z;</ANNOTATION_DOCUMENT>"
DEEP = b"<a>" * 3_000
TRUTH = {
    "version": "1",
    "database": {
        "v": {
            "duration": 20.0,
            "subset": "train",
            "fps": 25.0,
            "annotations": [{"label": "take", "segment": [1.5, 3.25]}, {"label": "put", "segment": ["4.0", 4.5]}],
        }
    },
}

events = reading("events", [lines_of_events()], change_json_line, 600)
activitynet = reading("activitynet", [json.dumps(TRUTH).encode()], change_json, 600)
csv = reading("csv", [CLICKS.encode(), TABS.replace("\t", ";").replace(".", ",").encode()], change_lines, 600)
webvtt = reading("webvtt", [VTT.encode()], change_lines, 600)
elan = reading("elan", [BOMB.encode(), DEEP], change_text, 200)
labelstudio = reading("labelstudio", [], change_json, 600)
cvat = reading("cvat", [], change_text, 200)


def tsv(folder: Path) -> Target:
    """Tables with tabs, which the CSV reader takes by what separates the first line."""
    return reading("csv", [TABS.encode(), CLICKS.replace(",", "\t").encode()], change_lines, 300)(folder)


def any_form(folder: Path) -> Target:
    """A file of an unknown kind: guessed by content, then read."""
    from punctum.runtime.convert import ReadOptions, read_rates
    from punctum.runtime.convert._forms import detect_source
    from punctum.runtime.convert._options import Source

    rates = read_rates("25")
    forms = ("events", "activitynet", "csv", "webvtt", "elan", "labelstudio", "cvat")

    def run(data: bytes) -> None:
        source = Source("f", data, "f")
        form, _ = detect_source(source)
        if form.read is not None:
            form.read(source, ReadOptions(rates=rates))

    def mutate(data: bytes, rng: random.Random) -> bytes:
        return rng.choice([change_json, change_lines, change_text])(data, rng)

    return Target([as_written(form) for form in forms], run, mutate, cases=150)


def report_events(folder: Path) -> Target:
    """`punctum report --events` and `punctum eval --detections` read events on their own."""
    from punctum.runtime.report.given import read_events

    file = folder / "v.jsonl"

    def run(data: bytes) -> Any:
        file.write_bytes(data)
        return read_events(file, "v", ("take", "put <&> 'it'"))

    return Target([lines_of_events()], run, change_json_line, cases=200)

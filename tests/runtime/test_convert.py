"""Conversions: what goes through a form and back is what it was within its resolution, and no loss is silent."""

from __future__ import annotations

import unicodedata
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from punctum.runtime.cli import invoke
from punctum.runtime.convert import FORMATS, Mark, ReadOptions, Timelines, WriteOptions, convert, read_rates
from punctum.runtime.convert._model import merge
from punctum.runtime.convert._options import Source
from punctum.runtime.datasets.dataset import read_points, read_truth
from punctum.runtime.errors import InputError
from punctum.runtime.events.event import Event

EVENT = Event("cam", "cam/wave/0", 2, "final", "wave", 0.875, 1.25, 2.5, 4.0, 1.5, "b-1", dropped=3, interrupted=True)
FPS = 25.0
# What a form keeps: seconds off at most, and whether confidence survives (to how much).
RESOLUTION = {
    "events": (0.0, 0.0),
    "parquet": (0.0, 0.0),
    "activitynet": (0.0, 0.0),
    "activitynet-truth": (0.0, None),
    "csv": (0.0, 0.0),
    "webvtt": (0.0005, 0.0005),
    "elan": (0.0005, None),
    "labelstudio": (0.5 / FPS, 0.0),
    "cvat": (0.5 / FPS, None),
    "srt": (0.001, None),
    "elan-text": (0.0005, None),
    "boris": (1e-6, None),
    "via": (0.0, None),
    "soccernet": (0.0005, None),
    "thumos": (0.0, None),
}
names = st.text(
    st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp"), exclude_characters="\ufffe\uffff"),
    min_size=1,
    max_size=12,
).map(str.strip)
labels = names.filter(bool)
times = st.floats(0, 5000, allow_nan=False)


@st.composite
def marks(draw, clicks: bool, least_s: float = 0.08):
    found = []
    for _ in range(draw(st.integers(0, 6))):
        start, score = draw(times), draw(st.none() | st.floats(0, 1))
        end = None if clicks else start + draw(st.floats(least_s, 60))
        found.append(Mark("v1", draw(labels), start, end, None if clicks else score))
    spelled = {unicodedata.normalize("NFC", mark.label): mark.label for mark in found}
    return [replace(mark, label=spelled[unicodedata.normalize("NFC", mark.label)]) for mark in found]


def there_and_back(name: str, lines: Timelines) -> Timelines:
    form = FORMATS[name]
    if form.a_file == "class":
        return there_and_back_by_class(form, lines)
    written = form.write(lines, WriteOptions(read_rates(str(FPS)), size=(640, 480)))
    data = written.data if isinstance(written.data, bytes) else written.data.encode()
    clicks = "all" if name == "srt" and lines.clicks else "marked"
    found = form.read(Source(f"x{form.endings[0]}", data, "v1"), ReadOptions(read_rates(str(FPS)), clicks=clicks))
    if clicks == "all":  # as `convert` reads every annotation as a click
        found = replace(found, marks=tuple(replace(m, start=(m.start + m.end) / 2, end=None) for m in found.marks))
    return found


def there_and_back_by_class(form, lines: Timelines) -> Timelines:
    """A file a class, which is called by it."""
    options = WriteOptions(read_rates(str(FPS)))
    files = {label: form.write(one, options) for one in lines.by_class() for label in one.classes}
    found = [form.read(Source("x", w.data.encode(), f"{c}{form.suffix}"), ReadOptions()) for c, w in files.items()]
    return merge(found) if found else Timelines()


def same(found: Timelines, given: list[Mark], seconds: float, score: float | None, *, unscored: float | None = None):
    key = lambda m: (m.label, m.start, m.end or 0)  # noqa: E731
    assert len(found.marks) == len(given)
    slack = seconds + 1e-9
    left = sorted(given, key=key)
    for mark in sorted(found.marks, key=key):
        fits = [
            m
            for m in left
            if m.label == mark.label
            and m.is_click == mark.is_click
            and abs(m.start - mark.start) <= slack
            and (m.end is None or abs(m.end - mark.end) <= slack)
            and (score is None or m.is_click or close(mark.score, unscored if m.score is None else m.score, score))
        ]
        assert fits, mark
        left.remove(fits[0])


def close(found: float | None, given: float | None, slack: float) -> bool:
    return found is given if found is None or given is None else abs(found - given) <= slack + 1e-12


@pytest.mark.parametrize("name", [n for n in RESOLUTION if n != "parquet" and FORMATS[n].actions])
@given(data=st.data())
@settings(max_examples=30)
def test_actions_there_and_back(name, data):
    given = data.draw(marks(clicks=False))
    if FORMATS[name].a_file == "class":
        given = [replace(mark, label=mark.label.replace("/", "|")) for mark in given]
    if name in ("srt", "elan-text") and (
        not given or (name == "srt" and any("<" in m.label or "{" in m.label for m in given))
    ):
        return  # nothing identifies the form; a text format that drops its marks reports it
    found = there_and_back(name, Timelines(tuple(given), ("v1",)))
    unscored = 1.0 if name in ("events", "activitynet") else None
    same(found, given, *RESOLUTION[name], unscored=unscored)


@pytest.mark.parametrize("name", [n for n, form in FORMATS.items() if form.clicks])
@given(data=st.data())
@settings(max_examples=30)
def test_clicks_there_and_back(name, data):
    given = data.draw(marks(clicks=True))
    if name == "srt" and (not given or any("<" in m.label or "{" in m.label for m in given)):
        return
    same(there_and_back(name, Timelines(tuple(given), ("v1",))), given, *RESOLUTION[name])


def write_events(path: Path, *events: Event) -> Path:
    path.write_text("".join(e.to_json() + "\n" for e in events))
    return path


def test_events_stay_whole_and_losses_are_said(tmp_path, capsys):
    source = write_events(tmp_path / "e.jsonl", EVENT, replace(EVENT, phase="open", revision=0))
    assert invoke(["convert", str(source), str(tmp_path / "same.jsonl")]) == 0
    assert (tmp_path / "same.jsonl").read_text() == EVENT.to_json() + "\n"
    said = capsys.readouterr().err
    assert "as events, by its extension .jsonl: 1 action" in said
    assert "left out: 1 revision" in said
    assert invoke(["convert", str(source), str(tmp_path / "e.csv")]) == 0
    assert (tmp_path / "e.csv").read_text().splitlines() == [
        "class,video_id,start_s,end_s,score",
        "wave,cam,1.25,2.5,0.875",
    ]
    said = capsys.readouterr().err
    assert "lost: identity, bundle and delay" in said
    assert "interrupted" in said


def test_actions_are_no_points_file(tmp_path):
    """By default annotations with an end stay actions, and nothing can be trained on those."""
    (tmp_path / "sheet.csv").write_text("video,class,start_s,end_s\ncam,wave,1.2,2.4\n")
    with pytest.raises(InputError, match="clicks=all") as caught:
        convert(str(tmp_path / "sheet.csv"), str(tmp_path / "points.csv"))
    assert caught.value.code == "points-no-clicks" and not (tmp_path / "points.csv").exists()
    convert(str(tmp_path / "sheet.csv"), str(tmp_path / "points.csv"), reading=ReadOptions(clicks="all"))
    assert "wave,cam,1.8" in (tmp_path / "points.csv").read_text()


def test_what_other_parts_read(tmp_path):
    source = write_events(tmp_path / "e.jsonl", EVENT, replace(EVENT, stream="two", label="push"))
    convert(str(source), str(tmp_path / "gt.json"), target_form="activitynet-truth")
    truth = read_truth(tmp_path / "gt.json", ("cam", "two"), ("wave", "push"))
    assert truth.segments.tolist() == [[1.25, 2.5], [1.25, 2.5]]
    (tmp_path / "p.csv").write_text("label,video,frame\nwave,cam,50\n")
    convert(str(tmp_path / "p.csv"), str(tmp_path / "points.csv"), reading=ReadOptions(read_rates("25")))
    (row,) = read_points(tmp_path / "points.csv")
    assert (row.label, row.video, row.time_s(1.0)) == ("wave", "cam", 2.0)


def test_what_is_chosen_is_said(tmp_path, capsys):
    source = write_events(tmp_path / "e.jsonl", EVENT, EVENT, replace(EVENT, id="x", label="push", score=0.1))
    options = ["--clicks", "all", "--min-score", "0.5"]
    assert invoke(["convert", str(source), str(tmp_path / "p.csv"), *options]) == 0
    said = capsys.readouterr().err
    assert "left out: 1 line seen before" in said
    assert "left out: start and end of 2 annotations" in said
    assert "left out: 1 annotation, by" in said
    assert [row.frame for row in read_points(tmp_path / "p.csv")] == [1.875]
    assert invoke(["convert", str(source), str(tmp_path / "q.csv"), "--video", "other"]) == 2


def test_actions_too_short_for_a_form(tmp_path, capsys):
    source = write_events(tmp_path / "e.jsonl", replace(EVENT, start=1.0, end=1.0))
    for form, end in (("webvtt", 1.001), ("elan", 1.001), ("cvat", 1.04), ("labelstudio", 1.04)):
        out = tmp_path / f"{form}{FORMATS[form].endings[0]}"
        fps = ["--fps", "25"] if form in ("cvat", "labelstudio") else []  # refused where nothing counts frames
        assert invoke(["convert", str(source), str(out), "--to", form, *fps]) == 0
        assert "that 1 action lasted less than" in capsys.readouterr().err
        assert invoke(["convert", str(out), str(tmp_path / f"{form}.csv"), *fps]) == 0
        assert (tmp_path / f"{form}.csv").read_text().splitlines()[1].startswith(f"wave,cam,1.0,{end},")

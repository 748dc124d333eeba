"""Reports: what the page holds, and that nothing in the data can break out of it."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from punctum.runtime import Dataset, InputError, Localizer
from punctum.runtime.cli import invoke
from punctum.runtime.datasets.dataset import Truth
from punctum.runtime.features.features import Features
from punctum.runtime.report import (
    Action,
    Proposal,
    Thumbnail,
    TrackSpan,
    build_report,
    evaluate_events,
    proposals_of,
    read_events,
    report_dataset,
    report_recording,
    thin_proposals,
    tracks_of,
    write_report,
)
from punctum.runtime.report._embed import CELLS, EVENTS, REVISIONS, recording_data
from punctum.runtime.sinks import to_jsonl
from punctum.runtime.synthetic.sensors import LABELS, make_sequence, write_demo_dataset

from tests.helpers.reports import SECONDS, Page, event, small

pytest.importorskip("jinja2", reason="a report needs jinja2 (extra report)")
NASTY = '</script><script>alert(1)</script><img src=x onerror=alert(2)>"&\u2028'


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "demo"
    write_demo_dataset(folder, videos=8, seed=5, seconds=30.0)
    return folder


def test_a_recording_with_everything(bundle, recording, tmp_path, capsys):
    out = tmp_path / "report.html"
    arguments = ["--truth", recording.with_suffix(".json"), "--max-delay", "1", "--out", out, "--title", "Bench 3"]
    assert invoke([str(a) for a in ("report", bundle.source, recording, *arguments)]) == 0
    assert str(out) in capsys.readouterr().out
    page = Page(out.read_text(encoding="utf-8"))
    assert page.texts["h1"] == ["Bench 3"]
    data = page.data
    assert data["labels"] == list(LABELS)
    assert (data["start"], data["end"]) == (0.0, SECONDS)
    assert len(data["truth"]) == len(make_sequence(99, seconds=SECONDS).actions)
    phases = {revision[0] for made in data["events"] for revision in made[4]}
    assert {1, 2} <= phases  # update and final: the phases of a stream
    (track,) = data["tracks"]
    assert track["n"] == round(SECONDS / 0.1)
    assert track["actionness"]
    assert len(base64.b64decode(track["low"])) == track["n"] * (len(LABELS) + 1)
    assert data["proposals"]
    assert data["thumbs"] == []
    text = out.read_text(encoding="utf-8")
    for needed in (bundle.id, "reported at", "final event", "times real time", "processor", "onnxruntime"):
        assert needed in text, needed


def test_nothing_is_loaded_from_elsewhere(bundle, recording):
    text = build_report(report_recording(bundle, recording))
    page = Page(text)
    for tag, attributes in page.elements:
        assert tag not in ("iframe", "object", "embed", "base", "audio", "video"), tag
        for name in ("src", "href", "action", "srcset", "data"):
            link = attributes.get(name)
            assert link is None or link.startswith(("data:", "#")), (tag, link)
        assert not any(name.startswith("on") or name == "style" for name in attributes), (tag, attributes)
    assert not re.findall(r"url\((?!#)", page.texts["style"][0])
    assert "@import" not in page.texts["style"][0]
    links = set(re.findall(r"https?://[^\s\"'<]+", text))
    assert links <= {"http://www.w3.org/2000/svg"}, links


def test_the_policy_allows_just_this_script_and_style(bundle, recording):
    page = Page(build_report(report_recording(bundle, recording)))
    policy = next(a["content"] for t, a in page.elements if t == "meta" and a.get("http-equiv"))
    assert policy is not None
    assert policy.startswith("default-src 'none'")
    for text in (page.texts["script"][1], page.texts["style"][0]):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    assert "unsafe" not in policy
    assert "connect-src" not in policy


def test_scripts_never_make_markup_from_text():
    folder = resources.files("punctum.runtime.report") / "page"
    scripts = [f for f in folder.iterdir() if f.name.endswith(".js")]
    assert len(scripts) >= 4
    for file in scripts:
        text = file.read_text(encoding="utf-8")
        for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "eval(", "fetch(", "XMLHttpRequest", "import("):
            assert word not in text, (file.name, word)


def test_what_the_data_say_stays_text(tmp_path):
    report = small(
        title=NASTY,
        labels=(NASTY, "swipe"),
        source=NASTY,
        events=(event(NASTY, id=NASTY, stream=NASTY),),
        truth=(Action(NASTY, 1.0, 2.0),),
        proposals=(Proposal(NASTY, 1.0, 2.0, 0.4),),
        stages={NASTY: 1.0},
        bundle={NASTY: {NASTY: NASTY}},
        machine={NASTY: {NASTY: [NASTY, 1.5]}},
        notes=(NASTY,),
    )
    write_report(tmp_path / "nasty.html", report)
    page = Page((tmp_path / "nasty.html").read_text(encoding="utf-8"))
    assert page.texts["h1"] == [NASTY]
    assert len(page.texts["script"]) == 2
    assert page.data["labels"] == [NASTY, "swipe"]
    assert page.data["events"][0][0] == NASTY
    assert not [t for t, _ in page.elements if t == "img"]
    assert all("onerror" not in attributes for _, attributes in page.elements)


def test_names_in_a_data_set_stay_text(bundle, dataset):
    report = report_dataset(bundle, dataset)
    nasty = tuple(replace(recording, name=f"{NASTY}{k}") for k, recording in enumerate(report.recordings))
    page = Page(build_report(replace(report, title=NASTY, name=NASTY, recordings=nasty)))
    assert page.texts["h1"] == [NASTY]
    assert len(page.texts["script"]) == 1
    assert not [t for t, _ in page.elements if t == "img"]
    assert [a["data-name"] for t, a in page.elements if t == "li" and "data-name" in a] != []


def test_only_events_and_no_event_at_all():
    plain = Page(build_report(small()))
    assert plain.data["truth"] is None
    assert plain.data["tracks"] == []
    text = build_report(small(events=(), truth=()))
    assert "No final event" in text
    assert Page(text).data["events"] == []
    assert Page(text).data["truth"] == []


def test_the_score_at_first_separates_hits_from_noise():
    noise = tuple(event("swipe", k, k + 0.5, score=0.05, id=f"n{k}") for k in range(5))
    report = small(events=(event(score=0.6), *noise), truth=(Action("lift", 1.0, 2.0),))
    assert Page(build_report(report)).data["min_score"] == 0.6
    assert Page(build_report(replace(report, truth=None))).data["min_score"] == pytest.approx(0.15)
    assert Page(build_report(replace(report, min_score=0.3))).data["min_score"] == 0.3


def test_revisions_are_grouped_and_in_order():
    said = (
        event(phase="open", ended=False, revision=0, id="x", emitted_at=1.5, score=0.3, end=1.4),
        event("swipe", 4.0, 5.0, id="y"),
        event(phase="update", revision=1, id="x", emitted_at=2.2, score=0.4),
        event(phase="retracted", revision=2, id="x", emitted_at=3.0),
    )
    data = Page(build_report(small(events=said))).data
    assert [(made[0], [r[0] for r in made[4]]) for made in data["events"]] == [("x", [0, 1, 3]), ("y", [2])]


def test_an_hour_stays_small():
    snippets, labels = 36_000, tuple(f"class {k}" for k in range(60))
    rng = np.random.default_rng(0)
    values = rng.random((snippets, 61), np.float32)
    said = [
        event(labels[k % 60], k * 0.5, k * 0.5 + 1, id=f"e{k}", score=float(rng.random()), revision=r, phase=phase)
        for k in range(7000)
        for r, phase in enumerate(("open", "update", "final"))
    ]
    said = [replace(e, ended=e.phase != "open") for e in said]
    pictures = tuple(Thumbnail(18.0 * k, bytes(4000)) for k in range(200))
    report = small(
        labels=labels,
        duration_s=3600.0,
        events=tuple(said),
        tracks=(TrackSpan(values, 0.1),),
        thumbnails=pictures,
    )
    text = build_report(report)
    assert len(text) < 5e6
    data = Page(text).data
    assert len(data["events"]) == EVENTS
    assert "3,000 events with scores up to" in text
    (track,) = data["tracks"]
    factor = round(track["step"] / 0.1)
    assert factor == -(-2 * values.size // CELLS)
    low, high = (
        np.frombuffer(base64.b64decode(track[k]), np.uint8).reshape(61, track["n"]).T / 255 for k in ("low", "high")
    )
    for row in (0, track["n"] - 1):
        part = values[row * factor : (row + 1) * factor]
        np.testing.assert_allclose(low[row], part.min(axis=0), atol=1 / 255)
        np.testing.assert_allclose(high[row], part.max(axis=0), atol=1 / 255)


def test_many_revisions_are_thinned_but_first_and_last_stay():
    said = [event(id="x", revision=k, phase="update", emitted_at=2.0 + 0.1 * k) for k in range(500)]
    data, _ = recording_data(small(duration_s=60.0, events=(*said, event(id="x", revision=500))), 0.0)
    history = data["events"][0][4]
    assert len(history) == REVISIONS
    assert history[0][5] == 2.0
    assert history[-1][0] == 2


def test_tracks_and_candidates_are_those_of_the_session(bundle):
    localizer = Localizer(bundle)
    features = Features(make_sequence(7, seconds=260).features, 0.1, start_s=50.0)
    tracks = tracks_of(localizer, features)
    class_track, actionness = localizer.backend.locate(features.data)
    np.testing.assert_allclose(tracks.values[:, :-1], class_track, atol=1e-5)
    np.testing.assert_allclose(tracks.values[:, -1], actionness, atol=1e-5)
    found = proposals_of(localizer, features, tracks)
    events = localizer.localize(features)
    assert all(50.0 <= c.start < c.end <= 310.0 for c in found)
    for label in {e.label for e in events}:  # suppression never touches the best
        best = max(e.score for e in events if e.label == label)
        assert max(c.score for c in found if c.label == label) == pytest.approx(best, abs=1e-4)


def test_a_gap_is_told_and_drawn(bundle):
    from punctum.runtime.report.footage import Footage, run_footage
    from punctum.runtime.report.recording import _notes

    data = make_sequence(8, seconds=40).features
    footage = Footage([Features(data[:200], 0.1), Features(data[200:], 0.1, start_s=30.0)], lost=3)
    assert (footage.start_s, footage.duration_s) == (0.0, 50.0)
    events, stages = run_footage(Localizer(bundle), footage, stream="s", max_delay_s=None)
    assert events
    assert not any(e.start < 29.9 and e.end > 20.1 for e in events)
    assert stages["locator"] > 0
    notes = _notes(footage, bundle, events, 10)
    assert any("from 20.00 s to 30.00 s" in note for note in notes)
    assert any(note.startswith("3 frames") for note in notes)
    localizer = Localizer(bundle)
    tracks = tuple(tracks_of(localizer, span) for span in footage.spans)
    report = small(labels=LABELS, duration_s=50.0, events=tuple(events), tracks=tracks, notes=notes)
    starts = [track["start"] for track in Page(build_report(report)).data["tracks"]]
    assert starts == [0.0, 30.0]


def test_thinned_candidates_keep_the_best_of_every_stretch():
    rng = np.random.default_rng(1)
    many = [Proposal("lift", float(t), float(t) + 1, float(rng.random())) for t in np.linspace(0, 1000, 20_000)]
    kept = thin_proposals(many, 1200)
    assert len(kept) == 1200
    assert max(c.score for c in kept) == max(c.score for c in many)
    assert np.histogram([c.start for c in kept], 100, (0, 1000))[0].min() > 0
    assert thin_proposals(many[:10]) == tuple(many[:10])


def test_a_data_set(bundle, dataset, tmp_path):
    out = tmp_path / "report.html"
    assert invoke(["report", bundle.source, "--data", str(dataset), "--out", str(out)]) == 0
    text = out.read_text(encoding="utf-8")
    for needed in (
        "Average precision",
        "Precision over recall",
        "Alignment",
        "rank correlation",
        "Reliability",
        "calibration error",
        "Recordings",
        *LABELS,
    ):
        assert needed in text, needed
    page = Page(text)
    listed = [a["data-name"] for t, a in page.elements if t == "li" and "data-name" in a]
    assert sorted(listed) == sorted(Dataset.open(dataset).test)
    assert_named_sections(page)


def assert_named_sections(page: Page) -> None:
    """Every section takes its name from an element that is there, so that a screen reader can list them."""
    ids = {attributes.get("id") for _, attributes in page.elements}
    sections = [attributes for tag, attributes in page.elements if tag == "section"]
    assert sections and all(attributes.get("aria-labelledby") in ids - {None} for attributes in sections)


@pytest.mark.parametrize("hits", [False, True])
def test_a_data_set_without_a_hit_or_without_an_event(hits):
    truth = Truth(("v",), ("lift", "swipe"), np.zeros(1, int), np.zeros(1, int), np.array([[1.0, 2.0]]))
    said = [event("swipe", 5.0, 6.0)] if hits else []
    text = build_report(evaluate_events(truth, {"v": said}, {"v": 10.0}, title="t"))
    assert "No event matches a true action" in text
    assert not re.search(r">\s*(inf|nan)\b", text)


def test_curves_enclose_what_average_precision_says(bundle, dataset):
    report = report_dataset(bundle, dataset, subset="train")
    levels = report.evaluation.thresholds
    checked = 0
    for curve in report.curves:
        assert (np.diff(curve.recall) >= 0).all()
        assert (np.diff(curve.precision) <= 1e-12).all()
        if curve.label in report.labels:
            column = report.evaluation.ap[levels.index(curve.tiou), report.labels.index(curve.label)]
            assert curve.ap == pytest.approx(column, abs=1e-9)
            checked += 1
    assert checked >= 9


def test_recorded_events_are_shown_as_they_were(bundle, recording, tmp_path):
    events = Localizer(bundle).localize(np.load(recording), stream="elsewhere")
    (tmp_path / "events.jsonl").write_text(to_jsonl(events[:3]))
    out = tmp_path / "r.html"
    arguments = ["report", bundle.source, str(recording), "--events", str(tmp_path / "events.jsonl"), "--out", str(out)]
    assert invoke(arguments) == 0
    assert [made[0] for made in Page(out.read_text(encoding="utf-8")).data["events"]] == [e.id for e in events[:3]]
    assert "recorded elsewhere" in out.read_text(encoding="utf-8")


def test_events_of_another_stream_are_not_taken(tmp_path):
    path = tmp_path / "events.jsonl"
    path.write_text(to_jsonl([event(stream="a"), event(stream="b")]))
    assert [e.stream for e in read_events(path, "b", ("lift",))] == ["b"]
    with pytest.raises(InputError, match="2 streams"):
        read_events(path, "c", ("lift",))
    path.write_text(to_jsonl([event(stream="a")]) + "nonsense\n")
    with pytest.raises(InputError, match="line 2"):
        read_events(path, "a", ("lift",))
    path.write_text(to_jsonl([event("swipe")]))
    with pytest.raises(InputError, match="swipe"):
        read_events(path, "a", ("lift",))
    line = json.loads(event().to_json()) | {"start": "one"}
    path.write_text(json.dumps(line) + "\n")
    with pytest.raises(InputError, match="line 1"):
        read_events(path, "a", ("lift",))

"""`punctum convert` between the other commands, annotation tools and a browser, as a user runs it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from punctum.runtime.cli import invoke
from punctum.runtime.datasets.dataset import Dataset
from punctum.runtime.events.event import Event

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
COMMAND = [sys.executable, "-c", "import sys; from punctum.runtime.cli import main; main()"]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def punctum(*arguments: object, stdin: bytes = b"", code: int = 0) -> subprocess.CompletedProcess[bytes]:
    done = subprocess.run(
        [*COMMAND, *map(str, arguments)], input=stdin, capture_output=True, env=ENVIRONMENT, timeout=120
    )
    assert done.returncode == code, done.stderr.decode()
    return done


@pytest.fixture
def here(capsys) -> Callable[..., Any]:
    """Runs a command in this process, which saves the seconds of a start; returns its outputs `out` and `err`."""

    def run(*arguments: object, code: int = 0) -> Any:
        capsys.readouterr()
        given = invoke([str(argument) for argument in arguments])
        told = capsys.readouterr()
        assert given == code, told.err
        return told

    return run


def event(number: int, label: str, start: float, end: float, video: str = "clip") -> Event:
    return Event(video, f"{video}/{number}", 0, "final", label, 0.5, start, end, end + 1, 1.0, "b-1")


def test_events_through_pipes(tmp_path):
    pytest.importorskip("onnxruntime", reason="running a bundle needs onnxruntime")
    from punctum.runtime.synthetic.sensors import make_sequence

    np.save(tmp_path / "seq.npy", make_sequence(5, seconds=20).features)
    bundle = resources.files("punctum.runtime") / "assets" / "demo"
    events = punctum("run", bundle, tmp_path / "seq.npy", "--min-score", "0.05").stdout
    done = punctum("convert", "-", "-", "--to", "csv", stdin=events)
    rows = done.stdout.decode().splitlines()
    told = [json.loads(line) for line in events.splitlines()]
    assert rows[1:] == [f"{e['label']},seq,{e['start']},{e['end']},{e['score']}" for e in told]
    said = done.stderr.decode()
    assert "standard input as events, by its content" in said
    assert "lost: identity, bundle and delay of events" in said


def test_what_score_wrote(tmp_path, here):
    pytest.importorskip("pyarrow", reason="archives need pyarrow (the extra `archive`)")
    pytest.importorskip("onnxruntime", reason="scoring needs onnxruntime")
    from tests.helpers import archives

    archives.make_archive(tmp_path / "in", 2)
    (tmp_path / "in" / "broken.npy").write_bytes(b"no features")
    out = tmp_path / "out"
    here("score", archives.DEMO, tmp_path / "in", "--out", out, "--workers", 1, "--format", "jsonl", code=1)
    told = here("convert", out, tmp_path / "all.jsonl")
    assert (tmp_path / "all.jsonl").read_bytes() == (out / "events.jsonl").read_bytes()
    assert "left out: 1 recording that could not be scored" in told.err
    here("convert", tmp_path / "all.jsonl", tmp_path / "all.parquet")
    here("convert", tmp_path / "all.parquet", tmp_path / "again.jsonl")
    assert (tmp_path / "again.jsonl").read_bytes() == (out / "events.jsonl").read_bytes()


@pytest.mark.parametrize("form", ["elan", "labelstudio", "cvat", "webvtt"])
def test_clicks_of_a_data_set_come_back_as_training_reads_them(tmp_path, here, form):
    from tests.helpers import datasets

    folder = datasets.make_ours(tmp_path / "data", train=3, test=1)
    target = tmp_path / ("clicks.json" if form == "labelstudio" else "clicks")
    points, before = folder / "points.csv", Dataset.open(folder).points()
    here("convert", points, target, "--to", form, "--fps", folder / "dataset.json")
    here("convert", target, points, "--replace", "--fps", folder / "dataset.json")
    after = Dataset.open(folder).points()
    assert {v: [(p.label, round(p.time_s, 3)) for p in ps] for v, ps in after.items()} == {
        v: [(p.label, round(p.time_s, 3)) for p in ps] for v, ps in before.items()
    }


def test_corrected_in_elan_then_judged(tmp_path, here):
    pympi = pytest.importorskip("pympi", reason="pympi-ling stands for the person at ELAN")
    from tests.helpers import datasets

    folder = datasets.make_ours(tmp_path / "data", train=3, test=3)
    data = Dataset.open(folder)
    truth = json.loads((folder / "gt.json").read_text())["database"]
    found = [
        event(i, a["label"], a["segment"][0] + 0.75, a["segment"][1] + 0.75, video)
        for video in data.test
        for i, a in enumerate(truth[video]["annotations"])
    ]
    (tmp_path / "found.jsonl").write_text("".join(e.to_json() + "\n" for e in found))
    here("convert", tmp_path / "found.jsonl", tmp_path / "eaf", "--to", "elan")
    for path in (tmp_path / "eaf").glob("*.eaf"):
        eaf = pympi.Eaf(str(path))
        for tier in eaf.get_tier_names():
            for start, end, label in eaf.get_annotation_data_for_tier(tier):
                eaf.remove_annotation(tier, (start + end) // 2)
                eaf.add_annotation(tier, start - 750, end - 750, label)
        eaf.to_file(str(path))
        path.with_suffix(".bak").unlink(missing_ok=True)  # what pympi keeps of the file before
    here("convert", tmp_path / "eaf", tmp_path / "better.json", "--to", "activitynet")

    def judged(detections: Path) -> float:
        return json.loads(here("eval", "--detections", detections, folder, "--json").out)["map"]["0.7"]

    assert judged(tmp_path / "found.jsonl") < 0.5
    assert judged(tmp_path / "better.json") == 1.0


def test_a_browser_shows_the_captions(tmp_path):
    pytest.importorskip("selenium.webdriver", reason="the browser is driven by selenium")
    from selenium.common.exceptions import WebDriverException

    program, driver = shutil.which("chromium") or shutil.which("chromium-browser"), shutil.which("chromedriver")
    if program is None or driver is None:
        pytest.skip("no chromium and chromium-driver (Debian packages)")
    nasty = "a <b>&amp; --> 'x' (0.9)"
    events = [event(0, nasty, 3600.0, 3601.5), event(1, "pour", 0.25, 4.0), event(2, "stir", 1.0, 2.0)]
    (tmp_path / "e.jsonl").write_text("".join(e.to_json() + "\n" for e in events))
    punctum("convert", tmp_path / "e.jsonl", tmp_path / "clip.vtt")
    from tests.system import browser as browser_kit

    try:
        browser = browser_kit.Browser(tmp_path / "p", program=program, driver=driver)
    except WebDriverException as error:
        pytest.skip(f"Chromium does not start here: {str(error)[:200]}")
    try:
        page = tmp_path / "page.html"
        page.write_text("<!doctype html><video></video>")
        browser.open(page)
        browser.run(
            "const t = document.createElement('track'); t.kind = 'captions'; t.srclang = 'en';"
            "t.src = URL.createObjectURL(new Blob([arguments[0]], {type: 'text/vtt'}));"
            "document.querySelector('video').append(t); t.track.mode = 'showing';",
            (tmp_path / "clip.vtt").read_text(),
        )
        state = "return document.querySelector('track').readyState"
        browser.wait(f"{state} > 1")
        assert browser.run(state) == 2  # loaded; 3 would be an error
        cues = browser.run(
            "return [...document.querySelector('track').track.cues].map("
            "(c) => [c.startTime, c.endTime, c.getCueAsHTML().textContent])"
        )
    finally:
        browser.driver.quit()
    assert cues == [[0.25, 4, "pour (0.500)"], [1, 2, "stir (0.500)"], [3600, 3601.5, f"{nasty} (0.500)"]]


def test_help_has_an_example():
    text = " ".join(punctum("convert", "--help").stdout.decode().split())
    assert "punctum convert events.jsonl clip.vtt" in text

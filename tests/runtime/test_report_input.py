"""Reports: bad content and bad input are refused; pictures, and a video from end to end."""

from __future__ import annotations

import base64
import json
import subprocess
import sys

import numpy as np
import pytest
from punctum.runtime import InputError
from punctum.runtime.cli import invoke
from punctum.runtime.report import Action, Proposal, ThumbnailTaker, TrackSpan, encode_jpeg, machine_facts
from punctum.runtime.report import given as _given

from tests.helpers.reports import Page, event, small

pytest.importorskip("jinja2", reason="a report needs jinja2 (extra report)")


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"duration_s": 0.0}, "duration above 0"),
        ({"duration_s": float("nan")}, "finite"),
        ({"events": (event("unknown"),)}, "unknown"),
        ({"truth": (Action("unknown", 1.0, 2.0),)}, "unknown"),
        ({"truth": (Action("lift", 3.0, 2.0),)}, "start <= end"),
        ({"events": (event(score=float("nan")),)}, "finite"),
        ({"tracks": (TrackSpan(np.zeros((4, 7), np.float32), 0.1),)}, "classes"),
        ({"proposals": (Proposal("unknown", 1.0, 2.0, 0.1),)}, "unknown"),
    ],
)
def test_bad_content_is_refused(changes, word):
    with pytest.raises(InputError, match=word):
        small(**changes)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ((), "Neither INPUT nor --data"),
        (("{npy}", "--data", "{folder}"), "one of the two"),
        (("{npy}", "--split", "split_1"), "--split"),
        (("--data", "{folder}", "--truth", "{npy}"), "--truth"),
        (("{npy}", "--events", "{npy}", "--max-delay", "1"), "--max-delay"),
        (("{npy}", "--max-delay", "-1"), "--max-delay"),
        (("{folder}/absent.npy",), "does not exist"),
        (("{folder}/absent.mp4",), "does not exist"),
        (("{folder}",), "--data"),
        (("{npy}", "--out", "{folder}"), "folder"),
        (("{npy}", "--truth", "{folder}/absent.json"), "absent.json"),
        (("{npy}", "--events", "{npy}"), "events"),
        (("--data", "{folder}"), "dataset.json"),
        (("--data", "{folder}", "--subset", "both"), "test or train"),
        (("{text}",), ".npy"),
    ],
)
def test_bad_input_is_refused_and_writes_nothing(bundle, recording, tmp_path, capsys, arguments, word):
    text = tmp_path / "notes.npy"
    text.write_text("not an array")
    out = tmp_path / "report.html"
    names = {"npy": recording, "folder": tmp_path, "text": text}
    given = [a.format(**names) for a in arguments]
    code = invoke(["report", bundle.source, *([] if "--out" in given else ["--out", str(out)]), *given])
    said = capsys.readouterr().err
    assert code == 2, said
    assert word in said
    assert "Traceback" not in said
    assert not out.exists()


def test_video_needs_a_backbone(bundle, tmp_path, capsys):
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(b"\0\0\0\x18ftypisom" + bytes(400))
    assert invoke(["report", bundle.source, str(clip), "--out", str(tmp_path / "r.html")]) == 2
    assert "backbone" in capsys.readouterr().err


def test_without_jinja2_the_command_says_what_to_install(bundle, recording, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    assert invoke(["report", bundle.source, str(recording), "--out", str(tmp_path / "r.html")]) == 2
    assert "punctum[report]" in capsys.readouterr().err


def test_importing_is_light():
    code = "import sys, punctum.runtime.report; print({'jinja2', 'av', 'onnxruntime', 'numba'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "set()", done


def test_no_name_of_the_machine_or_the_user():
    import getpass
    import platform

    facts = json.dumps(machine_facts())
    assert platform.node() == "" or f'"{platform.node()}"' not in facts
    assert f'"{getpass.getuser()}"' not in facts


def test_pictures_are_spread_evenly_and_bounded():
    pytest.importorskip("av", reason="pictures need PyAV (extra video)")
    image = np.zeros((48, 64, 3), np.uint8)
    image[:, :32] = (200, 40, 40)
    taker = ThumbnailTaker(most=20, step_s=0.5)
    for k in range(3000):
        taker.offer(image, k * 0.1)
    times = np.array([t.at for t in taker.thumbnails])
    assert 10 <= len(times) <= 20
    assert np.ptp(np.diff(times)) < 0.2
    assert times[-1] > 300 - 2 * np.diff(times)[0]
    assert all(t.jpeg[:2] == b"\xff\xd8" for t in taker.thumbnails)


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (3, 5), (1080, 1920), (1920, 1080), (20, 3000)])
def test_pictures_of_odd_sizes(rows, columns):
    av = pytest.importorskip("av", reason="pictures need PyAV (extra video)")
    import io

    jpeg = encode_jpeg(np.full((rows, columns, 3), 128, np.uint8))
    with av.open(io.BytesIO(jpeg)) as container:
        frame = next(container.decode(video=0))
    assert frame.height <= 74
    assert frame.width <= 288
    assert abs(int(frame.to_ndarray(format="rgb24").mean()) - 128) < 4


def test_a_video(tmp_path):
    pytest.importorskip("av", reason="video needs PyAV (extra video)")
    pytest.importorskip("onnx", reason="the backbone of this test is made with onnx")
    pytest.importorskip("onnxruntime", reason="running a bundle needs onnxruntime")
    from tests.helpers import backbones

    backbones.write_bundle(tmp_path / "bundle", backbones.spec())
    backbones.write_video(tmp_path / "clip.mp4", backbones.scene(150, seed=4))
    out = tmp_path / "r.html"
    arguments = ["report", tmp_path / "bundle", tmp_path / "clip.mp4", "--max-delay", "1", "--out", out]
    assert invoke([str(a) for a in arguments]) == 0
    data = Page(out.read_text(encoding="utf-8")).data
    assert data["end"] == pytest.approx(15.0, abs=0.3)
    assert 25 <= len(data["thumbs"]) <= 35
    assert base64.b64decode(data["thumbs"][0][1].removeprefix("data:image/jpeg;base64,"))[:2] == b"\xff\xd8"
    for stage in ("decode", "preprocess", "backbone"):
        assert stage in out.read_text(encoding="utf-8")


@pytest.mark.parametrize("number", ["1e300", "9" * 30, "9" * 400, "-1e11", "NaN", "true", '"1"'])
def test_numbers_of_events_beyond_all_bounds_are_refused(number, tmp_path):
    file = tmp_path / "v.jsonl"
    file.write_text(
        '{"schema":"punctum.event/1","stream":"v","event":"e","revision":0,"phase":"final","label":"a","score":0.5,'
        f'"start":0,"end":{number},"emitted_at":1,"delay_s":0,"bundle":"b"}}\n'
    )
    with pytest.raises(InputError, match="line 1"):
        _given.read_events(file, "v", ("a",))

"""punctum doctor reads a small clip, so that a PyAV which imports and opens nothing is found."""

from __future__ import annotations

import json

import pytest
from punctum.runtime.cli import invoke
from punctum.runtime.doctor import examine, video
from punctum.runtime.machine.host import Host

av = pytest.importorskip("av")


def test_versions_decoders_and_a_clip_that_opens(capsys):
    assert invoke(["doctor", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    section = record["sections"]["Video"]
    assert section["PyAV"] == av.__version__
    assert "libavcodec" in section["FFmpeg"]
    assert {"h264", "mpeg4"} <= set(section["decoders"].split(", "))
    assert section["test clip"] == "read, 6 frames"
    assert record["broken"] == []


def test_a_library_that_opens_no_video_is_a_problem(monkeypatch, capsys):
    """As with PyAV 19, whose open() has no `metadata_errors`: everything imports, and no video opens."""

    def opens_nothing(*_args, **_options):
        raise TypeError("open() got an unexpected keyword argument 'metadata_errors'")

    monkeypatch.setattr("punctum.runtime.video.open.open_frames", opens_nothing)
    assert invoke(["doctor"]) == 1
    told = capsys.readouterr().out
    assert "cannot read a small test clip" in told
    assert "metadata_errors" in told
    assert "device cpu runs here" in told
    assert invoke(["doctor", "--json"]) == 1
    record = json.loads(capsys.readouterr().out)
    assert record["runs"] and len(record["broken"]) == 1
    assert record["sections"]["Video"]["test clip"] == "cannot be read"


def test_frames_that_nobody_wrote_are_a_problem(monkeypatch):
    class Frames:
        def frames(self):
            return iter(())

        def close(self):
            pass

    monkeypatch.setattr("punctum.runtime.video.open.open_frames", lambda *_a, **_o: Frames())
    report = examine()
    assert [f.area for f in report.broken] == ["Video"]


def test_without_pyav_features_still_run(monkeypatch):
    real = video.importlib.util.find_spec
    monkeypatch.setattr(video.importlib.util, "find_spec", lambda name: None if name == "av" else real(name))
    report = examine()
    assert report.status.runs and not report.broken
    assert report.sections["Video"] == {"PyAV": "not installed"}
    assert any("punctum[video]" in f.fix for f in report.findings)


def test_decoders_of_hardware_and_of_gstreamer_are_listed(monkeypatch):
    pytest.importorskip("av")
    from punctum.runtime.video import _gst, _hardware

    monkeypatch.setattr(_hardware, "built_in", lambda: ("vaapi", "cuda", "qsv"))
    why = {"vaapi": "", "cuda": "operation not permitted", "qsv": _hardware.UNUSED}
    monkeypatch.setattr(_hardware, "trouble", why.get)
    monkeypatch.setattr(_gst, "describe", lambda: ("1.24.0", ("nvv4l2decoder", "openh264dec")))
    video = examine().sections["Video"]
    assert video["hardware decoders"] == "vaapi, cuda (not usable: operation not permitted)"
    assert video["GStreamer"] == "1.24.0 with nvv4l2decoder, openh264dec (only H.264 without B-frames)"

    def missing():
        raise _gst._missing("PyGObject is not installed")

    monkeypatch.setattr(_gst, "describe", missing)
    found = examine().sections["Video"]["GStreamer"]
    assert found.startswith("not available to Python (PyGObject is not installed). For sources gst:PIPELINE, install ")


def test_a_folder_that_stands_for_a_machine_is_only_looked_at(tmp_path):
    site = tmp_path / "site"
    (site / "av-18.1.0.dist-info").mkdir(parents=True)
    (site / "av-18.1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: av\nVersion: 18.1.0\n")
    report = examine(host=Host.at(tmp_path, site=(str(site),)))
    assert report.sections["Video"] == {"PyAV": "18.1.0"}

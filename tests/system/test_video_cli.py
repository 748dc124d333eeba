"""Videos on the command line: run, stream and features agree; what cannot be used is named, the rest is done."""

from __future__ import annotations

import functools
import http.server
import json
import shutil
import threading
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from punctum.runtime.cli import invoke
from punctum.runtime.events.event import Event

pytest.importorskip("av", reason="videos need av (the extra `video`)")
pytest.importorskip("onnxruntime", reason="running a backbone needs onnxruntime")
pytest.importorskip("onnx", reason="making the backbone of these tests needs onnx")
from punctum.runtime import Bundle, Localizer
from punctum.runtime.backbone.backbone import VideoBackbone
from punctum.runtime.backbone.folder import SPEC_FILE
from punctum.runtime.datasets.extraction import read_features
from punctum.runtime.sources.open import open_source

from tests.helpers import backbones

PLAIN = str(resources.files("punctum.runtime") / "assets" / "demo")


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A bundle with a backbone, and a folder of two videos of different rates and sizes."""
    folder = tmp_path_factory.mktemp("video")
    backbones.write_bundle(folder / "bundle", backbones.spec(right_frames=1))
    (folder / "videos").mkdir()
    backbones.write_video(folder / "videos" / "one.mp4", backbones.scene(253), rate=10)
    backbones.write_video(folder / "videos" / "two.mkv", backbones.scene(400, seed=2, rows=50, columns=66), rate=25)
    return folder


def events(path: Path) -> list[Event]:
    return [Event.from_json(line) for line in path.read_text().splitlines()]


def same(found: list[Event], wanted: list[Event]) -> None:
    assert [(e.label, e.id) for e in found] == [(e.label, e.id) for e in wanted]
    for a, b in zip(found, wanted, strict=True):
        assert abs(a.start - b.start) < 1e-4
        assert abs(a.end - b.end) < 1e-4
        assert abs(a.score - b.score) < 1e-4


def run(place: Path, *arguments: object, bundle: object = None) -> int:
    return invoke(["run", str(bundle or place / "bundle"), *map(str, arguments)])


@pytest.fixture(scope="module")
def offline(place) -> list[Event]:
    assert run(place, place / "videos" / "one.mp4", "--out", place / "offline.jsonl") == 0
    found = events(place / "offline.jsonl")
    assert len(found) > 5
    assert len({e.label for e in found}) == 2
    return found


@pytest.mark.parametrize("options", [[], ["--max-delay", "1.0"], ["--start-s", "100"]])
def test_streaming_gives_the_events_of_an_offline_run(place, offline, tmp_path, options):
    out = tmp_path / "live.jsonl"
    assert run(place, place / "videos" / "one.mp4", "--stream", "--out", out, *options) == 0
    finals = [e for e in events(out) if e.phase == "final"]
    shift = 100.0 if "--start-s" in options else 0.0
    assert [e.label for e in finals] == [e.label for e in offline]
    for a, b in zip(finals, offline, strict=True):
        assert (a.start - shift, a.end - shift, a.score) == pytest.approx((b.start, b.end, b.score), abs=1e-4)
        assert "--max-delay" in options or a.emitted_at - shift == pytest.approx(b.emitted_at)


def test_a_stream_in_python(place, offline):
    bundle = Bundle.load(place / "bundle")
    localizer = Localizer(bundle)
    plan = localizer.plan
    address = str(place / "videos" / "one.mp4")
    source = open_source(address, dim=plan.dim, stride_s=plan.stride_s, bundle=bundle)
    same(list(localizer.stream(source)), offline)
    source = open_source(address, dim=plan.dim, stride_s=plan.stride_s, bundle=bundle)
    assert {e.stream for e in localizer.stream(source, stream="cam")} == {"cam"}


def test_a_restart_adds_nothing_twice(place, offline, tmp_path):
    arguments = [place / "videos" / "one.mp4", "--stream", "--out", tmp_path / "e.jsonl"]
    arguments += ["--snapshot", tmp_path / "state", "--snapshot-every", "0"]
    assert run(place, *arguments) == 0
    same(events(tmp_path / "e.jsonl"), offline)
    assert run(place, *arguments) == 0
    same(events(tmp_path / "e.jsonl"), offline)


def test_features_for_training_are_those_of_a_run(place, offline, tmp_path, capsys):
    videos, out = place / "videos", tmp_path / "features"
    assert invoke(["features", str(place / "bundle"), str(videos), "--out", str(out)]) == 0
    assert sorted(p.name for p in out.iterdir()) == ["features.json", "one.npy", "two.npy"]
    assert np.load(out / "one.npy").shape == (127, backbones.DIM)  # 253 frames: the last half snippet counts
    assert np.load(out / "two.npy").shape == (80, backbones.DIM)  # 16 s
    assert run(place, out / "one.npy", "--out", tmp_path / "e.jsonl") == 0
    assert (tmp_path / "e.jsonl").read_bytes() == (place / "offline.jsonl").read_bytes()
    record = json.loads((out / "features.json").read_text())
    backbone = VideoBackbone.open(Bundle.load(place / "bundle"))
    assert record["backbone_sha256"] == backbone.digest
    assert record["stride_s"] == backbone.spec.stride_s
    assert record["videos"]["one"]["gaps"] == []
    assert "127 snippets, 25.4 s" in capsys.readouterr().out


def test_features_go_on_where_they_were(place, tmp_path, capsys):
    videos, out = tmp_path / "videos", tmp_path / "features"
    shutil.copytree(place / "videos", videos)
    command = ["features", str(place / "bundle"), str(videos), "--out", str(out)]

    def extracted(expected: int, ready: int, code: int = 0) -> None:
        assert invoke(command) == code
        verb = "was" if ready == 1 else "were"
        assert f"{expected} videos extracted, {ready} {verb} up to date" in capsys.readouterr().out

    extracted(2, 0)
    extracted(0, 2)
    stamp = (out / "one.npy").stat().st_mtime_ns
    (out / "two.npy").unlink()
    backbones.write_video(videos / "three.mp4", backbones.scene(40, seed=5))
    extracted(2, 1)
    (out / "two.npy").write_bytes(b"cut")
    backbones.write_video(videos / "three.mp4", backbones.scene(60, seed=6))
    extracted(2, 1)
    assert (out / "one.npy").stat().st_mtime_ns == stamp
    (videos / "broken.mp4").write_bytes(b"no video")
    extracted(0, 3, code=2)
    (videos / "broken.mp4").unlink()
    # Another backbone: all again; but not a part of a folder.
    backbones.write_bundle(tmp_path / "other", backbones.spec(clip_frames=7))
    command[1] = str(tmp_path / "other")
    extracted(3, 0)
    command[1:3] = [str(place / "bundle"), str(videos / "one.mp4")]
    assert invoke(command) == 2
    assert "features-mixed" in capsys.readouterr().err


def test_a_hole_in_a_video_moves_nothing(place, tmp_path, capsys):
    """Rows after a gap stay where they belong in time; a run declares it."""
    frames = backbones.scene(200)
    backbones.write_video(tmp_path / "hole.mp4", frames, pause=(80, 50))
    out = tmp_path / "features"
    assert invoke(["features", str(place / "bundle"), str(tmp_path / "hole.mp4"), "--out", str(out)]) == 0
    entry = json.loads((out / "features.json").read_text())["videos"]["hole"]
    ((start, end),) = entry["gaps"]
    assert 8.0 <= start <= 9.2  # the picture stays on screen for a while
    assert end == pytest.approx(13.0, abs=0.2)
    rows = np.load(out / "hole.npy")
    assert rows.shape[0] == 125
    # From the second snippet after the hole on, as in a video that begins there.
    backbones.write_video(tmp_path / "rest.mp4", frames[80:])
    rest, _ = read_features(VideoBackbone.open(Bundle.load(place / "bundle")), tmp_path / "rest.mp4")
    np.testing.assert_allclose(rows[-len(rest) + 2 :], rest[2:], atol=0.2 * float(rest.std()))
    capsys.readouterr()
    assert run(place, tmp_path / "hole.mp4", "--stats", "--out", tmp_path / "e.jsonl") == 0
    assert "1 gap)" in capsys.readouterr().err
    assert any(e.interrupted for e in events(tmp_path / "e.jsonl"))


def test_features_from_a_backbone_folder(place, tmp_path, capsys):
    bundle = Bundle.load(place / "bundle")
    folder = tmp_path / "backbone"
    folder.mkdir()
    (folder / "backbone.onnx").write_bytes(bundle.read("backbone.onnx"))
    (folder / SPEC_FILE).write_text(bundle.manifest.backbone.model_dump_json())
    out = tmp_path / "out"
    assert invoke(["features", str(folder), str(place / "videos" / "one.mp4"), "--out", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["videos"]["one"]["snippets"] == 127
    expected, _ = read_features(VideoBackbone.open(bundle), place / "videos" / "one.mp4")
    np.testing.assert_array_equal(np.load(out / "one.npy"), expected)
    assert invoke(["features", PLAIN, str(place / "videos"), "--out", str(tmp_path / "x")]) == 2
    assert invoke(["features", str(tmp_path), str(place / "videos"), "--out", str(tmp_path / "x")]) == 2
    assert invoke(["features", str(folder), str(tmp_path / "backbone"), "--out", str(tmp_path / "x")]) == 2


def test_a_folder_of_videos(place, offline, tmp_path, capsys):
    assert run(place, place / "videos", "--out", tmp_path / "e.jsonl", "--stats") == 0
    found = events(tmp_path / "e.jsonl")
    same([e for e in found if e.stream == "one"], offline)
    assert {e.stream for e in found} == {"one", "two"}
    told = capsys.readouterr().err.splitlines()
    for line in (line for line in told if "s of media" in line):
        for stage in ("decode", "preprocess", "backbone", "locate", "islands", "score", "real-time factor", "p99"):
            assert stage in line
    assert sum("real-time factor" in line for line in told) == 2
    assert run(place, place / "videos", "--format", "activitynet", "--out", tmp_path / "e.json") == 0
    assert set(json.loads((tmp_path / "e.json").read_text())["results"]) == {"one", "two"}


def test_what_a_folder_holds_besides_videos_is_named(place, tmp_path, capsys):
    folder = tmp_path / "mixed"
    folder.mkdir()
    shutil.copy(place / "videos" / "one.mp4", folder / "one.mp4")
    (folder / "points.csv").write_text("class,video_id,time_s\n")
    assert run(place, folder) == 0
    assert "skipped" not in capsys.readouterr().err
    (folder / "clip.braw").write_bytes(b"x")
    (folder / "more").mkdir()
    assert run(place, folder) == 0
    assert f"note: {folder}: 2 entries skipped that are not videos: clip.braw, more/" in capsys.readouterr().err


def test_one_bad_video_does_not_stop_the_others(place, tmp_path, capsys):
    shutil.copytree(place / "videos", tmp_path / "videos")
    (tmp_path / "videos" / "broken.mp4").write_bytes(b"no video at all")
    assert run(place, tmp_path / "videos", "--out", tmp_path / "e.jsonl") == 2
    assert {e.stream for e in events(tmp_path / "e.jsonl")} == {"one", "two"}
    told = capsys.readouterr().err
    assert "1 of 3 videos" in told
    assert "broken.mp4" in told
    assert run(place, tmp_path / "videos" / "broken.mp4") == 2
    assert "Traceback" not in capsys.readouterr().err


def test_a_video_on_a_server(place, tmp_path):
    """Offline nothing is dropped, however slow the backbone is."""
    handler = functools.partial(Quiet, directory=str(place / "videos"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://user:secret@127.0.0.1:{server.server_port}/two.mkv"
        try:
            assert run(place, address, "--out", tmp_path / "url.jsonl", "--stats") == 0
        finally:
            server.shutdown()
    assert run(place, place / "videos" / "two.mkv", "--out", tmp_path / "file.jsonl") == 0
    found, wanted = events(tmp_path / "url.jsonl"), events(tmp_path / "file.jsonl")
    assert [e.label for e in found] == [e.label for e in wanted]
    for a, b in zip(found, wanted, strict=True):
        assert (a.start, a.end, a.score) == pytest.approx((b.start, b.end, b.score), abs=1e-4)
    assert "secret" not in (tmp_path / "url.jsonl").read_text()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        pass


def test_stages_of_a_stream(place, capsys):
    assert run(place, place / "videos" / "two.mkv", "--stream", "--stats") == 0
    told = capsys.readouterr().err
    assert "per second of media: decode" in told
    assert "backbone" in told


def refused(capsys, code: str, hint: str, *arguments: object) -> str:
    assert invoke(["run", *map(str, arguments)]) == 2
    told = capsys.readouterr().err
    assert f"[{code}]" in told
    assert hint in told
    assert "Traceback" not in told
    return told


def test_what_is_missing_is_named(place, tmp_path, capsys):
    bundle, video = place / "bundle", place / "videos" / "one.mp4"
    refused(capsys, "bundle-without-backbone", "--backbone", PLAIN, video)
    refused(capsys, "bundle-without-backbone", "--backbone", PLAIN, place / "videos")
    refused(capsys, "bundle-without-backbone", "--backbone", PLAIN, video, "--stream")
    refused(capsys, "source-folder", "--stream", bundle, place / "videos", "--stream")
    refused(capsys, "features-missing", "no video", bundle, tmp_path)
    refused(capsys, "overflow", "drop_oldest", bundle, video, "--stream", "--overflow", "panic")
    told = refused(capsys, "needs-stream", "--stream", bundle, "rtsp://user:secret@127.0.0.1:9/one")
    assert "secret" not in told
    assert invoke(["run", str(bundle), str(tmp_path / "absent.mp4")]) == 2
    shutil.copy(video, tmp_path / "one.mp4")
    shutil.copy(place / "videos" / "two.mkv", tmp_path / "one.mkv")
    refused(capsys, "video-names", "rename", bundle, tmp_path)


def test_no_credentials_in_any_output(place, capsys):
    address = "rtsp://user:secret@127.0.0.1:9/one?token=hidden"
    assert run(place, address, "--stream", "--reconnect-s", "0") != 0
    told = capsys.readouterr()
    for text in (told.out, told.err):
        assert "secret" not in text
        assert "hidden" not in text
    assert invoke(["run", PLAIN, address, "--stream"]) == 2
    told = capsys.readouterr().err
    assert "secret" not in told
    assert "hidden" not in told


def test_a_damaged_backbone_is_refused(place, tmp_path, capsys):
    shutil.copytree(place / "bundle", tmp_path / "bundle")
    manifest = tmp_path / "bundle" / "manifest.json"
    record = json.loads(manifest.read_text())
    record["backbone"]["mean"] = [0.5, 0.5, 0.5]
    manifest.write_text(json.dumps(record))
    refused(capsys, "bundle-id-differs", "export", tmp_path / "bundle", place / "videos" / "one.mp4")


def test_exit_codes_of_sources_that_are_not_there(place, capsys):
    """A source that is absent is code 3, start again; a password that is wrong is code 2, do not."""
    import socket
    import time

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    for scheme in ("http", "rtsp"):
        began = time.monotonic()
        words = ("--stream", "--reconnect-s", 0.5)
        assert run(place, f"{scheme}://me:hunter2secret@127.0.0.1:{port}/a.ts", *words) == 3
        assert time.monotonic() - began > 0.4
        assert "[video-refused]" in capsys.readouterr().err
    assert run(place, f"http://127.0.0.1:{port}/a.ts") == 3
    assert run(place, "camera:/dev/no-such-camera", "--stream", "--reconnect-s", 0) == 3
    capsys.readouterr()

    class Locked(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="cam"')
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Locked)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        address = f"http://me:hunter2secret@127.0.0.1:{server.server_address[1]}/a.ts"
        assert run(place, address, "--stream", "--reconnect-s", 30) == 2
        err = capsys.readouterr().err
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
    assert "[video-login]" in err
    assert "hunter2" not in err

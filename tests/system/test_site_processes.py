"""Camera and engine processes, as the supervisor of a site starts them: what they report, also when they are killed."""

from __future__ import annotations

import random
import subprocess
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("av", reason="PyAV is not installed")

from punctum.runtime import Bundle, Localizer
from punctum.runtime.sources.items import Chunk
from punctum.runtime.sources.open import video_source
from punctum.runtime.synthetic.sensors import make_sequence
from punctum.runtime.synthetic.video import render
from punctum.runtime.synthetic.video.dataset import encode

from tests.helpers.site_processes import Child, Site, same_events

pytestmark = pytest.mark.slow
DEMO = str(Path(__file__).resolve().parents[2] / "runtime" / "assets" / "demo")
STRIDE_S = 0.1
SYSTEM_PYTHON = Path("/usr/bin/python3")


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    return np.asarray(make_sequence(5, seconds=90.0).features, np.float32)


@pytest.fixture(scope="module")
def feature_file(rows: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("features") / "recording.npy"
    np.save(path, rows)
    return path


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("video") / "scene.mp4"
    encode(render(2_000_003, seconds=14.0), path)
    return path


@pytest.fixture(scope="module")
def offline(rows: np.ndarray) -> list:
    return list(Localizer(Bundle.load(DEMO)).localize(rows, stream="cam", run_id="r"))


@pytest.fixture(scope="module")
def offline_video(video: Path) -> list:
    bundle = Bundle.load("default")
    source = video_source(str(video), bundle)
    chunks = [item for item in source.items() if isinstance(item, Chunk)]
    return list(Localizer(bundle).localize_chunks(chunks, stream="cam", run_id="r"))


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    one = Site(tmp_path / "state", DEMO)
    yield one
    one.shut()


def ended(camera: Child) -> bool:
    return bool(camera.of("end")) and camera.gone


def test_feature_file(site: Site, feature_file: Path, offline: list) -> None:
    site.start_engine()
    assert site.open("cam") == {**site.engine.of("opened")[0], "now_s": None, "restored": False, "run_id": "r"}
    camera = site.start_camera("cam", feature_file)
    site.until(lambda: ended(camera))
    site.close("cam")
    same_events(site.finals("cam"), offline, ids=True)
    assert [one["state"] for one in camera.of("state")][-1] == "ended"
    assert site.engine.of("beat")  # when it begins; a file can be read before its camera's first beat is due
    log = site.stop()
    assert "Traceback" not in log + camera.end()


def test_video_file(site: Site, video: Path, offline_video: list) -> None:
    site.start["bundle_path"] = "default"
    site.start_engine()
    site.open("cam")
    camera = site.start_camera("cam", video)
    site.until(lambda: ended(camera), 60)
    site.close("cam")
    same_events(site.finals("cam"), offline_video, ids=True)
    stats = camera.of("stats")[-1]
    assert (stats["width"], stats["height"], stats["codec"]) == (160, 120, "h264")
    assert stats["frames"] > 100 and stats["rss_mb"] > 10 and stats["lost_frames"] == 0


def test_engine_is_killed_again_and_again(site: Site, rows: np.ndarray, offline: list) -> None:
    """What is sent after each restart begins where the engine says that it is; reports come once, or twice the same."""
    chance = random.Random(1)
    kills, row, seq = 0, 0, 0
    site.start_engine()
    site.open("cam")
    while row < len(rows):
        size = chance.choice([1, 5, 30])
        site.send_rows("cam", seq, rows[row : row + size], row * STRIDE_S)
        row, seq = row + size, seq + 1
        site.pump(0.0)
        if kills < 4 and row > (kills + 1) * 150:
            kills += 1
            time.sleep(chance.random() * 0.3)
            site.engine.kill()
            site.start_engine()
            opened = site.open("cam")
            row = 0 if opened["now_s"] is None else round(opened["now_s"] / STRIDE_S)
    site.close("cam")
    same_events(site.finals("cam"), offline, ids=True)
    assert not site.gaps


def test_both_are_killed(site: Site, feature_file: Path, offline: list) -> None:
    """The camera goes on at the position that the engine has."""
    site.start_engine()
    site.open("cam")
    site.start_camera("cam", feature_file)
    site.until(lambda: site.engine.of("taken"))
    site.engine.kill()
    site.cameras["cam"].kill()
    site.start_engine()
    opened = site.open("cam")
    assert opened["restored"] and opened["position"] is not None
    camera = site.start_camera("cam", feature_file, position=opened["position"])
    site.until(lambda: ended(camera))
    site.close("cam")
    same_events(site.finals("cam"), offline, ids=True)


def test_video_goes_on_at_its_position(site: Site, video: Path, offline_video: list) -> None:
    site.start["bundle_path"] = "default"
    site.start_engine()
    site.open("cam")
    site.start_camera("cam", video)
    site.until(lambda: len(site.engine.of("taken")) >= 3, 60)
    site.cameras["cam"].kill()
    log = site.stop()
    assert "Traceback" not in log
    site.start_engine()
    opened = site.open("cam")
    assert opened["restored"] and opened["now_s"] > 0
    camera = site.start_camera("cam", video, position=opened["position"])
    site.until(lambda: ended(camera), 60)
    site.close("cam")
    same_events(site.finals("cam"), offline_video, ids=True)
    assert not site.gaps


def test_stop_with_flush_ends_the_streams(site: Site, rows: np.ndarray, tmp_path: Path) -> None:
    site.start_engine()
    site.open("cam")
    site.send_rows("cam", 0, rows[:300], 0.0)
    site.stop(flush=True)
    expected = Localizer(Bundle.load(DEMO)).localize(rows[:300], stream="cam", run_id="r")
    same_events(site.finals("cam"), list(expected), ids=True)
    assert not (tmp_path / "state" / "cam").exists()


def test_no_orphans(site: Site, tmp_path: Path) -> None:
    """The processes end when the other side of their channel is gone, also one that opens or waits."""
    site.start_engine()
    (tmp_path / "chunks").mkdir()
    camera = site.start_camera("cam", tmp_path / "chunks")
    site.until(lambda: camera.of("begin"))
    for child in (site.engine, camera):
        child.channel.close()
        assert child.process.wait(5) == 0
        child.end()


def test_bundle_and_source_that_do_not_exist(tmp_path: Path, site: Site) -> None:
    broken = Child("engine", {"name": "b", "bundle_path": str(tmp_path / "none"), "state_dir": str(tmp_path)})
    while not broken.gone:
        broken.take(0.1)
    assert broken.of("failed")[0]["code"] == "bundle-missing"
    log = broken.end()
    assert broken.process.returncode == 1 and "Traceback" not in log
    site.start_engine()
    camera = site.start_camera("cam", tmp_path / "none.npy")
    site.until(lambda: camera.gone)
    assert camera.of("state")[-1]["code"] == "features-missing"
    assert "Traceback" not in camera.end() and camera.process.returncode == 1


def test_looped_file_is_a_camera(site: Site, tmp_path: Path, rows: np.ndarray) -> None:
    """Laps follow each other without a gap, in real time or faster, with times of arrival."""
    path = tmp_path / "short.npy"
    np.save(path, rows[:40])
    site.start_engine()
    camera = site.start_camera("cam", path, options={"loop": True, "real_time": False})
    chunks: list = []
    while len(chunks) < 5:
        received = camera.take(0.5)
        if received is not None and received[0]["type"] == "chunk":
            chunks.append(received[0])
            camera.send({"type": "taken", "feed": "features", "seq": received[0]["seq"]})
    assert [round(one["at"], 6) for one in chunks] == [0.0, 4.0, 8.0, 12.0, 16.0]
    assert all(one["arrival_unix"] for one in chunks)
    assert chunks[2]["position"] == {"lap_s": 8.0, "until_s": 12.0, "inner": {"row": 40}}
    camera.kill()
    again = site.start_camera("cam", path, position=chunks[2]["position"], options={"loop": True, "real_time": False})
    while not again.of("chunk"):
        again.take(0.5)
    assert round(again.of("chunk")[0]["at"], 6) == 12.0 and again.of("begin")[0]["start_s"] == 12.0


def test_looped_video(site: Site, video: Path) -> None:
    site.start["bundle_path"] = "default"
    site.start_engine()
    camera = site.start_camera("cam", video, options={"loop": True, "real_time": False})
    laps: dict[float, list[bytes]] = {}
    end = 0.0
    while len(laps) < 3:
        received = camera.take(0.5)
        if received is not None and received[0]["type"] == "chunk":
            header, payload = received
            assert abs(header["at"] - end) < 1e-6
            end = header["at"] + header["rows"] * site.ready["stride_s"]
            laps.setdefault(header["position"]["lap_s"], []).append(payload)
            camera.send({"type": "taken", "feed": header["feed"], "seq": header["seq"]})
    assert [round(lap, 6) for lap in laps] == [0.0, 14.0, 28.0]
    first, second = (b"".join(laps[lap]) for lap in sorted(laps)[:2])
    assert first == second


def test_credits(site: Site, tmp_path: Path) -> None:
    """A file waits when nobody takes its chunks."""
    path = tmp_path / "long.npy"
    np.save(path, np.zeros((8192, 8), np.float32))
    site.start_engine()
    camera = site.start_camera("cam", path)
    while len(camera.of("chunk")) < 8:
        camera.take(0.1)
    limit = time.monotonic() + 0.7
    while time.monotonic() < limit:
        camera.take(0.1)
    assert len(camera.of("chunk")) == 8
    camera.send({"type": "taken", "feed": "features", "seq": 3})
    while len(camera.of("chunk")) < 12:
        camera.take(0.1)
    camera.send({"type": "picture", "request": 7, "at_s": 1.0, "path": "x", "width": 100})
    while not camera.of("media"):
        camera.take(0.1)
    assert camera.of("media")[0] == {
        "type": "media",
        "request": 7,
        "ok": False,
        "path": None,
        "why": "no video is kept",
        "start_s": None,
        "end_s": None,
    }
    camera.send({"type": "stop"})
    while not camera.gone:
        camera.take(0.1)
    assert camera.of("end")[0]["how"] == "stop"


def test_region_and_masks_change_the_features_as_a_cut_video_would(site: Site, video: Path, tmp_path: Path) -> None:
    """The right half of a scene, against a file that shows only that half, stored without loss."""
    import av
    from punctum.runtime.backbone.backbone import VideoBackbone
    from punctum.runtime.sources.video import VideoSource
    from punctum.runtime.video import VideoOptions, open_frames

    site.start["bundle_path"] = "default"
    site.start_engine()
    camera = site.start_camera("cam", video, options={"region": {"left": 0.5, "width": 0.5}})
    parts: list[bytes] = []
    while not camera.of("end"):
        received = camera.take(0.5)
        if received is not None and received[0]["type"] == "chunk":
            parts.append(received[1])
            camera.send({"type": "taken", "feed": received[0]["feed"], "seq": received[0]["seq"]})
    half = tmp_path / "half.mkv"
    with av.open(str(video)) as source, av.open(str(half), "w") as target:
        stream = target.add_stream("ffv1", rate=20)
        stream.width, stream.height, stream.pix_fmt = 80, 120, "bgr0"
        for frame in source.decode(video=0):
            image = frame.to_ndarray(format="rgb24")[:, 80:]
            target.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")))
        target.mux(stream.encode(None))
    backbone = VideoBackbone.open(Bundle.load("default"))
    options = VideoOptions(align_s=backbone.spec.stride_s)
    reference = VideoSource(open_frames(str(half), fps=backbone.spec.fps, options=options), backbone)
    expected = np.concatenate([item.rows for item in reference.items() if isinstance(item, Chunk)])
    found = np.frombuffer(b"".join(parts), np.float32).reshape(-1, expected.shape[1])
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < 0.02 * np.abs(expected).max()


def test_two_backbones_share_one_decoding(site: Site, video: Path) -> None:
    """Two feeds of one camera: each has all features, of the same frames."""
    site.start["bundle_path"] = "default"
    site.start_engine()
    digest = site.ready["feed"]
    feeds = [{"feed": digest, "bundle_path": "default"}, {"feed": "", "bundle_path": "default"}]
    camera = site.start_camera("cam", video, feeds=feeds)
    parts: list[bytes] = []
    while not camera.of("end"):
        received = camera.take(0.5)
        if received is not None and received[0]["type"] == "chunk":
            parts.append(received[1])
            camera.send({"type": "taken", "feed": None, "seq": received[0]["seq"]})
    assert len(parts) % 2 == 0 and len(camera.of("begin")) == 2
    assert {parts.count(part) for part in parts} == {2}
    assert camera.of("stats")[-1]["snippets"] == sum(one["rows"] for one in camera.of("chunk"))


@pytest.fixture
def rtsp(video: Path) -> Iterator[str]:
    if not SYSTEM_PYTHON.exists():
        pytest.skip(f"no {SYSTEM_PYTHON}")
    command = [SYSTEM_PYTHON, Path(__file__).with_name("rtsp_server.py"), video, "0", "somebody", "hunter2"]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    line = server.stdout.readline().split()
    if line[:1] != ["ready"]:
        server.kill()
        server.communicate()
        pytest.skip(f"no RTSP server: {line}")
    yield f"rtsp://127.0.0.1:{line[1]}/cam"
    server.kill()
    server.communicate()


def test_rtsp_camera(site: Site, rtsp: str, offline_video: list) -> None:
    """The events of a camera are those of its recording, with times of day, and no password is in any message."""
    site.start["bundle_path"] = "default"
    site.start_engine()
    site.open("cam")
    began = time.time()
    options = {"user": "somebody", "password": "hunter2", "reconnect_s": 0.0, "overflow": "wait"}
    camera = site.start_camera("cam", rtsp, options=options)
    site.until(lambda: camera.gone, 90)
    site.close("cam")
    log = camera.end() + site.stop()
    assert "hunter2" not in log + str(camera.said) and "Traceback" not in log
    found = site.finals("cam")
    same_events(found, offline_video)
    assert all(event.start_utc is not None for event in found)
    first = datetime.fromisoformat(found[0].start_utc).timestamp() - found[0].start
    assert began - 5 < first < time.time()
    assert camera.of("state")[-1]["state"] in ("failed", "ended")


def test_a_live_camera_that_comes_back_leaves_a_declared_hole(site: Site, rows: np.ndarray, tmp_path: Path) -> None:
    """Senders of features to a socket; the camera process is killed in between."""
    import socket

    from punctum.runtime.sources.framing import encode_end, encode_header, encode_record, encode_token

    site.start_engine()
    site.open("cam", policy="drop_oldest", max_queue_s=600.0)
    path = tmp_path / "s"
    for number, (first, last) in enumerate([(0, 100), (200, 400)]):
        camera = site.start_camera("cam", f"unix://{path}", options={"token": "secret-token", "reconnect_s": 5.0})
        site.until(lambda: path.exists())
        with socket.socket(socket.AF_UNIX) as sender:
            while sender.connect_ex(str(path)):
                time.sleep(0.05)
            head = encode_header(dim=8, stride_s=STRIDE_S, start_s=first * STRIDE_S)
            sender.sendall(encode_token(b"secret-token") + head)
            for row in range(first, last, 20):
                sender.sendall(encode_record(rows[row : row + 20]))
            if number:
                sender.sendall(encode_end())
            chunks, taken = (last - first) // 20, (5, 15)[number]
            site.until(lambda camera=camera, chunks=chunks: len(camera.of("chunk")) >= chunks)
            site.until(lambda taken=taken: len(site.engine.of("taken")) >= taken)
        if number == 0:
            camera.kill()
            path.unlink()
    site.until(lambda: ended(camera))
    site.close("cam")
    log = camera.end() + site.stop()
    assert "secret-token" not in log + str(camera.said)
    (gap,) = site.gaps
    assert (round(gap["start_s"], 3), round(gap["end_s"], 3), gap["snippets"]) == (10.0, 20.0, 100)
    assert gap["start_unix"] and gap["end_unix"]
    session = Localizer(Bundle.load(DEMO)).session(stream="cam", run_id="r")
    expected = session.push(rows[:100]) + session.push(rows[200:400], at=20.0) + session.flush()
    same_events(site.finals("cam"), expected, ids=True)


def test_a_process_that_hangs_sends_no_beats(site: Site, tmp_path: Path) -> None:
    """A stopped process is silent; one whose source waits is not."""
    import signal

    site.start_engine()
    (tmp_path / "chunks").mkdir()
    camera = site.start_camera("cam", tmp_path / "chunks")
    site.until(lambda: len(camera.of("beat")) >= 3)
    camera.process.send_signal(signal.SIGSTOP)
    while camera.take(0.3) is not None:
        pass
    assert camera.take(1.2) is None
    camera.process.send_signal(signal.SIGCONT)
    camera.send({"type": "stop"})
    site.until(lambda: camera.gone)
    assert camera.of("end")[-1]["how"] == "stop"

"""`punctum serve` as a whole: real processes, real sources, and kills in between."""

from __future__ import annotations

import os
import random
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

for library in ("yaml", "fastapi", "uvicorn", "urllib3", "prometheus_client", "onnxruntime"):
    pytest.importorskip(library, reason=f"punctum serve needs {library}")

from punctum.runtime import Bundle, Localizer  # noqa: E402
from punctum.runtime.bundle.writer import save_bundle, seal_bundle  # noqa: E402
from punctum.runtime.sources.framing import encode_end, encode_header, encode_record  # noqa: E402
from punctum.runtime.synthetic.sensors import make_sequence  # noqa: E402

from tests.helpers.exhaustive import examples  # noqa: E402
from tests.helpers.sites import Site, finals  # noqa: E402

pytestmark = pytest.mark.slow
SECONDS = 240
STRIDE_S = 0.1
DEMO = Path(__file__).parents[2] / "runtime" / "assets" / "demo"


@pytest.fixture
def recordings(tmp_path: Path) -> dict[str, Path]:
    """Feature files of the demo bundle."""
    found = {}
    for seed, name in enumerate(("hall", "yard", "dock")):
        found[name] = tmp_path / f"{name}.npy"
        np.save(found[name], make_sequence(seed=seed, seconds=SECONDS).features)
    return found


@pytest.fixture
def sites() -> Iterator[list[Site]]:
    running: list[Site] = []
    yield running
    for site in running:
        site.close()


def make(tmp_path: Path, sites: list[Site], recordings: dict[str, Path], **changes: Any) -> Site:
    cameras = {name: {"source": str(path), "bundles": ["demo"], "min_score": 0.0} for name, path in recordings.items()}
    config = {
        "bundles": {"demo": {"path": str(DEMO)}},
        "cameras": cameras,
        "sinks": {"file": {"type": "jsonl", "path": "events.jsonl"}},
    }
    site = Site(tmp_path, config | changes)
    sites.append(site)
    return site


def offline(path: Path) -> list[tuple[str, float, float, float]]:
    events = Localizer(Bundle.load(DEMO)).localize(np.load(path))
    return [(e.label, e.start, e.end, e.score) for e in events if e.phase == "final"]


def check_equal(site: Site, recordings: dict[str, Path]) -> None:
    for name, path in recordings.items():
        found = finals(site.folder / "events.jsonl", name)
        assert len({(e["event"], e["revision"]) for e in found}) == len(found), "an event was written twice"
        expected = sorted(offline(path), key=lambda e: (e[1], e[0]))
        told = sorted(((e["label"], e["start"], e["end"], e["score"]) for e in found), key=lambda e: (e[1], e[0]))
        assert [e[0] for e in told] == [e[0] for e in expected]
        np.testing.assert_allclose([e[1:] for e in told], [e[1:] for e in expected], atol=1e-4)


def ended(site: Site, recordings: dict[str, Path]) -> bool:
    return site.states() == dict.fromkeys(recordings, "ended") and delivered(site)


def delivered(site: Site) -> bool:
    return all(sink["waiting"] == 0 for sink in site.get("/sinks")["sinks"])


def test_events_are_those_of_the_same_recordings_offline(tmp_path, sites, recordings):
    site = make(tmp_path, sites, recordings)
    site.start()
    site.until(lambda: ended(site, recordings), 300)
    assert site.stop() == 0
    check_equal(site, recordings)


def test_kills_lose_nothing_and_repeat_nothing(tmp_path, sites, recordings):
    site = make(tmp_path, sites, recordings)
    rng = random.Random(4)
    for _ in range(examples(4, 8)):
        site.start()
        time.sleep(rng.uniform(0.2, 3.0))
        site.kill()
    site.start()
    site.until(lambda: ended(site, recordings), 300)
    assert site.stop() == 0
    check_equal(site, recordings)


def children(pid: int, module: str) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            command = (entry / "cmdline").read_text()
        except (OSError, ValueError, IndexError):
            continue
        if parent == pid and module in command:
            found.append(int(entry.name))
    return found


@pytest.mark.parametrize("module", ["runtime.site.engine", "runtime.site.camera"])
def test_kills_of_single_processes(tmp_path, sites, recordings, module):
    site = make(tmp_path, sites, recordings)
    site.start()
    rng = random.Random(5)
    for _ in range(4):
        time.sleep(rng.uniform(0.3, 1.5))
        pids = children(site.process.pid, module)
        if pids:
            os.kill(rng.choice(pids), signal.SIGKILL)
    site.until(lambda: ended(site, recordings), 300)
    assert site.stop() == 0
    check_equal(site, recordings)


def send_paced(path: Path, rows: np.ndarray, *, media_per_s: float, stop: threading.Event) -> None:
    """Send features over a socket faster than real time, a quarter of a second of media at a time."""
    with socket.socket(socket.AF_UNIX) as sender:
        while sender.connect_ex(str(path)):
            time.sleep(0.05)
        sender.sendall(encode_header(dim=rows.shape[1], stride_s=STRIDE_S, start_s=0.0))
        step = max(round(0.25 / STRIDE_S), 1)
        began = time.monotonic()
        for low in range(0, len(rows), step):
            due = began + low * STRIDE_S / media_per_s
            if stop.wait(max(due - time.monotonic(), 0.0)):
                return
            sender.sendall(encode_record(rows[low : low + step]))
        sender.sendall(encode_end())
        stop.wait(30.0)


def with_version(folder: Path, version: str) -> None:
    """The demo bundle with another version, so another id."""
    bundle = Bundle.load(DEMO)
    save_bundle(seal_bundle(bundle.manifest.model_copy(update={"version": version}), bundle.content), folder)


def test_a_new_version_of_a_bundle_takes_over_between_two_actions(tmp_path, sites):
    """All events of the stream once, by the old version up to some time and by the new one after it."""
    rows = make_sequence(seed=9, seconds=200).features
    np.save(tmp_path / "rows.npy", rows)
    with_version(tmp_path / "one", "1.0.1")
    with_version(tmp_path / "two", "1.0.2")
    address = tmp_path / "in"
    camera = {"source": f"unix://{address}", "bundles": ["demo"], "min_score": 0.0}
    site = make(tmp_path, sites, {}, bundles={"demo": {"path": "one"}}, cameras={"hall": camera})
    site.start()
    stop = threading.Event()
    sender = threading.Thread(target=send_paced, args=(address, rows), kwargs={"media_per_s": 8.0, "stop": stop})
    sender.start()
    try:
        site.until(lambda: len(finals(site.folder / "events.jsonl")) > 60, 120)
        site.config["bundles"]["demo"]["path"] = "two"
        site.write()
        site.process.send_signal(signal.SIGHUP)
        site.until(lambda: "takes over" in site.text(), 120)
        sender.join(120)
    finally:
        stop.set()
        sender.join()
    site.until(lambda: delivered(site) and "ended the stream" in site.text(), 60)
    assert site.stop() == 0
    found = finals(site.folder / "events.jsonl", "hall")
    bundles = [event["bundle"] for event in sorted(found, key=lambda e: e["start"])]
    versions = [bundle.split("-")[1] for bundle in bundles]
    assert set(versions) == {"1.0.1", "1.0.2"}
    assert versions == sorted(versions)
    last = max(event["end"] for event in found) - 20.0  # the stream goes on, for all that the service knows
    expected = sorted((e[1], e[0]) for e in offline(tmp_path / "rows.npy") if e[1] < last)
    told = sorted((event["start"], event["label"]) for event in found if event["start"] < last)
    assert [label for _, label in told] == [label for _, label in expected]
    np.testing.assert_allclose([at for at, _ in told], [at for at, _ in expected], atol=1e-4)


def test_cameras_over_the_api_stay_and_what_cannot_be_is_refused(tmp_path, sites, recordings):
    """A camera that was added over the API is there after a new start; the file wins once it names it."""
    site = make(tmp_path, sites, {"hall": recordings["hall"]})
    site.start()
    site.until(lambda: site.states() == {"hall": "ended"}, 120)
    new = {"source": str(recordings["yard"]), "bundles": ["demo"], "min_score": 0.0}
    assert site.request("PUT", "/cameras/yard", new)[0] in (200, 201)
    status, problem = site.request("PUT", "/cameras/dock", new | {"labels": ["nonsense"]})
    assert status == 422 and "nonsense" in problem["given"]
    status, problem = site.request("PUT", "/bundles/demo", {"path": "nowhere"})
    assert status == 422 and "nowhere" in problem["given"]
    site.until(lambda: site.states() == {"hall": "ended", "yard": "ended"}, 120)
    assert site.stop() == 0
    site.config["http"]["clients"] = 7
    site.start()
    assert site.states() == {"hall": "ended", "yard": "ended"}
    site.config["cameras"]["yard"] = new | {"min_score": 0.5}
    site.config["http"]["clients"] = 8
    site.write()
    site.process.send_signal(signal.SIGHUP)
    site.until(lambda: "the file has changed" in site.text(), 30)
    site.until(lambda: "`http` has changed" in " ".join(site.get("/site")["degraded"]), 30)
    assert site.stop() == 0
    check_equal(site, {"hall": recordings["hall"], "yard": recordings["yard"]})


def test_a_kill_in_the_middle_of_a_handover_repeats_none_that_was_done(tmp_path, sites):
    """One camera has gone over to the new version, the other one has not, and the service is killed."""
    rows = make_sequence(seed=9, seconds=200).features
    np.save(tmp_path / "rows.npy", rows)
    with_version(tmp_path / "one", "1.0.1")
    with_version(tmp_path / "two", "1.0.2")
    cameras = {
        name: {"source": f"unix://{tmp_path / name}.sock", "bundles": ["demo"], "min_score": 0.0}
        for name in ("hall", "yard")
    }
    site = make(tmp_path, sites, {}, bundles={"demo": {"path": "one"}}, cameras=cameras)
    site.start()
    stop = threading.Event()
    parts = [("hall", 0, 1400), ("yard", 0, 250)]
    senders = [threading.Thread(target=send_part, args=(tmp_path, rows, *part, stop)) for part in parts]
    try:
        for sender in senders:
            sender.start()
        site.until(lambda: len(finals(site.folder / "events.jsonl", "hall")) > 20, 120)
        site.config["bundles"]["demo"]["path"] = "two"
        site.write()
        site.process.send_signal(signal.SIGHUP)
        site.until(lambda: "camera hall: demo-1.0.2" in site.text(), 120)
        site.until(lambda: received(site, "hall") >= 1400 * STRIDE_S - 0.01, 120)
        assert "camera yard: demo-1.0.2" not in site.text()
        site.kill()
        stop.set()
        site.start()
        stop = threading.Event()
        senders.append(threading.Thread(target=send_part, args=(tmp_path, rows, "hall", 1400, len(rows), stop)))
        senders[-1].start()
        site.until(lambda: received(site, "hall") >= len(rows) * STRIDE_S - 0.01, 120)
        site.until(lambda: delivered(site) and site.get("/gaps?camera=hall")["gaps"] == [], 60)
        assert "camera hall: failed" not in site.text()
    finally:
        stop.set()
        for sender in senders:
            sender.join()
    assert site.stop() == 0
    found = finals(site.folder / "events.jsonl", "hall")
    last = max(event["end"] for event in found) - 20.0  # the stream goes on, for all that the service knows
    expected = sorted((e[1], e[0]) for e in offline(tmp_path / "rows.npy") if e[1] < last)
    told = sorted((event["start"], event["label"]) for event in found if event["start"] < last)
    assert [label for _, label in told] == [label for _, label in expected]
    np.testing.assert_allclose([at for at, _ in told], [at for at, _ in expected], atol=1e-4)


@pytest.mark.parametrize("how", ["file", "disabled", "restarted"])
def test_a_live_camera_that_was_away_comes_back_with_a_gap(tmp_path, sites, how):
    rows = make_sequence(seed=9, seconds=60).features
    camera = {"source": f"unix://{tmp_path / 'hall'}.sock", "bundles": ["demo"], "min_score": 0.0}
    site = make(tmp_path, sites, {}, cameras={"hall": camera})
    site.start()
    stop = threading.Event()
    senders = [threading.Thread(target=send_part, args=(tmp_path, rows, "hall", 0, 100, stop))]
    try:
        senders[0].start()
        site.until(lambda: received(site, "hall") >= 10.0 - 0.01, 120)
        if how == "restarted":
            assert site.stop() == 0
        stop.set()
        senders[0].join()
        stop = threading.Event()
        camera["max_delay_s"] = 2.0
        site.write()
        if how == "restarted":
            site.start()
        elif how == "file":
            site.process.send_signal(signal.SIGHUP)
            site.until(lambda: "cameras started again: hall" in site.text(), 60)
        else:
            assert site.request("POST", "/cameras/hall/disable")[0] == 200
            assert site.request("POST", "/cameras/hall/enable")[0] == 200
        senders.append(threading.Thread(target=send_part, args=(tmp_path, rows, "hall", 200, 300, stop)))
        senders[-1].start()
        site.until(lambda: site.get("/gaps?camera=hall")["gaps"] != [], 120)
    finally:
        stop.set()
        for sender in senders:
            sender.join()
    (gap,) = site.get("/gaps?camera=hall")["gaps"]
    assert (round(gap["start_s"], 2), round(gap["end_s"], 2)) == (10.0, 20.0)
    assert gap["reason"] == {"file": "changed", "disabled": "disabled", "restarted": "service-down"}[how]
    assert gap["start_unix"] <= gap["end_unix"] - 9.9


def send_part(folder: Path, rows: np.ndarray, name: str, low: int, high: int, stop: threading.Event) -> None:
    """Send rows of a recording to a camera, ten times as fast as in real time, and stay connected."""
    with socket.socket(socket.AF_UNIX) as sender:
        while sender.connect_ex(str(folder / f"{name}.sock")):
            if stop.wait(0.05):
                return
        sender.sendall(encode_header(dim=rows.shape[1], stride_s=STRIDE_S, start_s=low * STRIDE_S))
        for first in range(low, high, 10):
            sender.sendall(encode_record(rows[first : first + 10]))
            if stop.wait(0.1):
                return
        stop.wait(300.0)


def received(site: Site, camera: str) -> float:
    """Media time in seconds up to which the newest version has features."""
    stats = next(view["stats"] for view in site.get("/cameras")["cameras"] if view["name"] == camera)
    return max((float(part.get("now_s") or 0.0) for part in stats.values() if isinstance(part, dict)), default=0.0)

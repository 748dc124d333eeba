"""`punctum score` against what ends runs: killed workers, killed drivers, full disks, bad recordings, a second run."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pyarrow", reason="archives need pyarrow (the extra `archive`)")
pytest.importorskip("onnxruntime", reason="scoring needs onnxruntime")
pytest.importorskip("psutil", reason="finding the workers of a run needs psutil")
import psutil
from punctum.runtime.archive import read_events, read_items
from punctum.runtime.cli import invoke

from tests.helpers import archives

pytestmark = pytest.mark.slow

TESTS = Path(__file__).parent.parent
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def command(inputs: Path, out: Path, *options: str) -> list[str]:
    code = "import sys; from punctum.runtime.cli import main; main()"
    return [sys.executable, "-c", code, "score", str(archives.DEMO), str(inputs), "--out", str(out), *options]


def begin(inputs: Path, out: Path, *options: str) -> subprocess.Popen:
    """A run, once its first commit is in. It has much left to do then."""
    return going(start(inputs, out, *options), out)


def start(inputs: Path, out: Path, *options: str) -> subprocess.Popen:
    return subprocess.Popen(
        command(inputs, out, *options),
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # ignored in background jobs
    )


def going(process: subprocess.Popen, out: Path) -> subprocess.Popen:
    deadline = time.monotonic() + 60
    while not lines(out):
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            pytest.fail(f"the run did not get going: {process.communicate()[1]}")
        time.sleep(0.005)
    return process


def lines(out: Path) -> int:
    ledger = out / "ledger.jsonl"
    return ledger.read_bytes().count(b"\n") if ledger.exists() else 0


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    return archives.make_archive(tmp_path_factory.mktemp("recordings"), 24, seconds=60, step=2)


@pytest.fixture(scope="module")
def whole(recordings, tmp_path_factory):
    """What an undisturbed run gives."""
    out = tmp_path_factory.mktemp("whole") / "out"
    assert invoke(["score", str(archives.DEMO), str(recordings), "--out", str(out), "--workers", "1"]) == 0
    assert len(read_items(out)) == 24
    return archives.content(out)


def workers_of(process: subprocess.Popen) -> list[psutil.Process]:
    children = psutil.Process(process.pid).children()
    return [child for child in children if "multiprocessing.spawn" in " ".join(child.cmdline())]


def test_killed_workers_cost_nothing(recordings, whole, tmp_path):
    """One that is about to start, and one at work. The run may end before the second is killed: then once more."""
    for attempt in range(4):
        out = tmp_path / f"out{attempt}"
        process = start(recordings, out, "--workers", "2")
        while not (workers := workers_of(process)) and process.poll() is None:
            time.sleep(0.005)
        workers[0].kill()
        going(process, out)
        for worker in workers_of(process)[:1]:
            worker.kill()
        _, log = process.communicate(timeout=120)
        assert process.returncode == 0, log
        assert "before it was ready" in log
        assert archives.content(out) == whole
        if log.count("warning: a worker ended (signal SIGKILL)") == 2:
            return
    pytest.fail(f"no worker was killed at work: {log}")


def test_a_killed_driver_is_gone_on_with(recordings, whole, tmp_path):
    out = tmp_path / "out"
    process = begin(recordings, out, "--workers", "2")
    workers = psutil.Process(process.pid).children(recursive=True)
    while lines(out) < 3 and process.poll() is None:
        time.sleep(0.002)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    committed = lines(out)
    assert committed < 24
    _, alive = psutil.wait_procs(workers, timeout=10)
    assert not alive  # nobody works on for a driver that is gone
    done = subprocess.run(
        [*command(recordings, out, "--workers", "2"), "--json"], capture_output=True, text=True, env=ENVIRONMENT
    )
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert (summary["skipped"], summary["scored"]) == (committed, 24 - committed)
    first, *_, last = done.stderr.splitlines()  # progress where there is no terminal
    assert first.startswith(f"score: {24 - committed} item")
    assert last.startswith(f"score: {24 - committed}/{24 - committed} items")
    assert "times real time" in last
    assert archives.content(out) == whole
    names = [name for name, _ in read_events(out)]
    assert names == sorted(names)


def test_a_second_run_into_the_folder_is_refused_and_ctrl_c_ends_the_first(recordings, whole, tmp_path):
    out = tmp_path / "out"
    process = begin(recordings, out, "--workers", "1")
    process.send_signal(signal.SIGSTOP)  # so that it cannot be through before the second one looks
    second = subprocess.run(command(recordings, out), capture_output=True, text=True, env=ENVIRONMENT, timeout=60)
    assert second.returncode == 2
    assert "output-locked" in second.stderr
    assert f"process {process.pid}" in second.stderr
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGCONT)
    _, told = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in told
    assert 0 < len(read_items(out)) < 24
    assert invoke(["score", str(archives.DEMO), str(recordings), "--out", str(out)]) == 0
    assert archives.content(out) == whole


def limit_files() -> None:
    """What a full disk does to a process, for users who cannot mount one: no file may grow beyond this."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_500, 2_500))


@pytest.fixture
def small_disk(tmp_path):
    """A full disk and what gives it space, or (where none can be mounted) a limit for files, and nothing."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=128k", "none", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        yield disk, limit_files, None
        return
    try:
        yield disk, None, lambda how: subprocess.run(["mount", "-o", f"remount,{how}", str(disk)], check=True)
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=False)


def test_a_full_disk(recordings, whole, small_disk, capfd):
    disk, limit, remount = small_disk
    again = ["score", str(archives.DEMO), str(recordings), "--out", str(disk / "out")]
    done = subprocess.run(
        command(recordings, disk / "out"), capture_output=True, text=True, env=ENVIRONMENT, preexec_fn=limit, timeout=60
    )
    assert done.returncode == 1, done.stderr
    assert "write-failed" in done.stderr
    assert "Traceback" not in done.stderr
    if remount is not None:
        assert "No space left" in done.stderr
        assert 0 < lines(disk / "out") < 24
        remount("size=64m")
    assert invoke(again) == 0
    assert archives.content(disk / "out") == whole
    if remount is not None:
        remount("ro")
        assert invoke(again) == 2
        assert "output-unwritable" in capfd.readouterr().err


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    pytest.importorskip("av", reason="videos need av (the extra `video`)")
    pytest.importorskip("onnx", reason="making the backbone of this test needs onnx")
    from tests.helpers import backbones
    from tests.helpers import video_corpus as corpus

    folder = tmp_path_factory.mktemp("videos")
    backbones.write_bundle(folder / "bundle", backbones.spec(right_frames=1))
    place = folder / "in"
    place.mkdir()
    for i in range(4):
        backbones.write_video(place / f"good{i}.mp4", backbones.scene(120 + 10 * i, seed=i))
    codes = {}
    for i, (make, code) in enumerate(corpus.BROKEN.values()):
        own = place / f"bad{i:02d}"
        own.mkdir()
        path = make(own)
        for beside in own.iterdir():
            if beside != path:
                beside.unlink()
        # A playlist is no known form of video: as in `punctum run`, it is read as features.
        codes[path.relative_to(place).as_posix()] = "features-unreadable" if path.suffix == ".m3u8" else code
    (place / "all.txt").write_text("\n".join([*(f"good{i}.mp4" for i in range(4)), *codes]) + "\n")
    return folder, codes


def test_bad_videos_fail_by_themselves(videos, tmp_path):
    folder, codes = videos
    out = tmp_path / "out"
    bundle = str(folder / "bundle")
    assert invoke(["score", bundle, str(folder / "in" / "all.txt"), "--out", str(out), "--workers", "2"]) == 1
    rows = {row["item"]: row for row in read_items(out)}
    assert {name: row["error_code"] for name, row in rows.items() if row["status"] == "failed"} == codes
    assert all(row["error"] for row in rows.values() if row["status"] == "failed")
    from punctum.runtime.events.event import Event

    for i in range(4):
        single = tmp_path / f"{i}.jsonl"
        assert invoke(["run", bundle, str(folder / "in" / f"good{i}.mp4"), "--out", str(single)]) == 0
        wanted = [Event.from_json(line) for line in single.read_text().splitlines()]
        archives.same([event for name, event in read_events(out) if name == f"good{i}.mp4"], wanted)
    assert sum(row["events"] for row in rows.values()) > 10


def test_videos_for_a_bundle_without_a_backbone(videos, tmp_path, capfd):
    folder, _ = videos
    assert invoke(["score", str(archives.DEMO), str(folder / "in" / "good0.mp4"), "--out", str(tmp_path / "out")]) == 1
    assert "bundle-without-backbone" in capfd.readouterr().out


def test_memory_does_not_depend_on_length(tmp_path):
    """Ten hours as one recording against ten minutes, in one worker each."""
    from punctum.runtime import Bundle
    from punctum.runtime.archive import ArchiveOptions, _scorer
    from punctum.runtime.archive._groups import make_groups
    from punctum.runtime.archive._items import Task
    from punctum.runtime.archive.inputs import find_items

    block = np.zeros((6000, 8), np.float32)  # a minute of action in ten: events are held until they are committed
    block[:600] = archives.make_sequence(1, seconds=60).features
    np.save(tmp_path / "short.npy", block)
    long = np.lib.format.open_memmap(tmp_path / "long.npy", "w+", np.float32, (60 * 6000, 8))
    for i in range(60):
        long[i * 6000 : (i + 1) * 6000] = block
    del long
    scorer = _scorer.Scorer(Bundle.load(archives.DEMO), ArchiveOptions())
    peaks = {}
    threshold, _scorer.STREAMED_BYTES = _scorer.STREAMED_BYTES, 1
    try:
        for name in ("short", "long"):
            (item,) = find_items([str(tmp_path / f"{name}.npy")])
            (group,) = make_groups([Task(item)], archive_items=1)
            if name == "short":
                scorer.score(group)  # whatever is loaded once is loaded now
            Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
            (record,) = scorer.score(group).records
            assert record.status == "done"
            status = Path("/proc/self/status").read_text()
            peaks[name] = int(status.split("VmHWM:")[1].split()[0])
    except OSError:
        pytest.skip("this system does not let a process reset its peak memory")
    finally:
        _scorer.STREAMED_BYTES = threshold
    assert record.media_s == pytest.approx(36000)
    # KiB. Pages of the file that were read count as well, up to 11,000; features and tracks held whole were 25,000.
    assert peaks["long"] - peaks["short"] < 14 * 1024
    shutil.rmtree(tmp_path, ignore_errors=True)


def test_workers_that_do_not_come_up_end_the_run(recordings, tmp_path):
    """An interpreter that fails at once: the run must not wait for it, however large the bundle."""
    code = (
        "import multiprocessing, sys; multiprocessing.set_executable('/bin/false');"
        "from punctum.runtime.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *command(recordings, tmp_path / "out", "--workers", "2")[3:]],
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        timeout=60,
    )
    assert done.returncode == 1
    assert "worker-start" in done.stderr
    assert "Traceback" not in done.stderr

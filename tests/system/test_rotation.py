"""Event files that are rotated while a live run writes them: nothing is lost, nothing comes twice, no NUL bytes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from punctum.runtime.errors import InputError
from punctum.runtime.events.event import Event
from punctum.runtime.sinks.lines import EventFile

pytest.importorskip("onnxruntime", reason="running a bundle needs onnxruntime")
from punctum.runtime.sinks.rotation import Mark, cut_to_snapshot
from punctum.runtime.synthetic.sensors import make_sequence

pytestmark = pytest.mark.slow

BUNDLE = str(resources.files("punctum.runtime") / "assets" / "demo")
PUNCTUM = [sys.executable, "-c", "from punctum.runtime.cli import main; main()", "run", BUNDLE]


def event(number: int) -> Event:
    return Event("cam", f"cam-{number}", 0, "final", "wave", 0.5, number, number + 0.5, number + 1.0, 0.5, "demo-1")


def wait_for(condition, seconds: float = 60.0) -> None:
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, "it did not happen in time"
        time.sleep(0.02)


# --- the file by itself


def test_a_renamed_file_is_left_and_a_new_one_begun(tmp_path):
    path = tmp_path / "e.jsonl"
    file = EventFile(path)
    file.write([event(1)])
    assert not file.reopen()  # nothing was renamed
    path.rename(tmp_path / "e.jsonl.1")
    file.write([event(2)])
    assert file.reopen()
    file.write([event(3)])
    file.close()
    assert (tmp_path / "e.jsonl.1").read_text() == event(1).to_json() + "\n" + event(2).to_json() + "\n"
    assert path.read_text() == event(3).to_json() + "\n"


def test_a_truncated_file_gets_no_hole(tmp_path):
    path = tmp_path / "e.jsonl"
    file = EventFile(path)
    file.write([event(n) for n in range(5)])
    os.truncate(path, 0)
    file.write([event(5)])
    assert file.truncated
    os.truncate(path, 20)  # in the middle of a line
    file.write([event(6)])
    file.close()
    assert path.read_text() == event(6).to_json() + "\n"


def test_reopening_that_fails_keeps_the_old_file(tmp_path):
    path = tmp_path / "e.jsonl"
    file = EventFile(path)
    file.write([event(1)])
    path.rename(tmp_path / "e.jsonl.1")
    path.write_text("something else\n")
    with pytest.raises(InputError, match="something other than events"):
        file.reopen()
    file.write([event(2)])
    file.close()
    assert (tmp_path / "e.jsonl.1").read_text().count("\n") == 2
    assert path.read_text() == "something else\n"


def test_what_came_after_a_snapshot_is_taken_back_wherever_it_lies(tmp_path):
    path, old = tmp_path / "e.jsonl", tmp_path / "e.jsonl.1"
    file = EventFile(path)
    file.write([event(1), event(2)])
    mark = Mark(file.length, file.inode, file.tail())
    file.write([event(3)])
    file.close()
    assert cut_to_snapshot(path, mark) == mark.bytes  # not rotated
    path.rename(old)
    assert cut_to_snapshot(path, mark) == 0
    assert old.stat().st_size == mark.bytes
    path.touch()  # logrotate's "create"
    assert cut_to_snapshot(path, mark) == 0
    # copytruncate: the copy has the same content; what the truncated file holds came later
    shutil.copy(old, tmp_path / "e.jsonl.copy")
    old.rename(path)
    with path.open("w") as stream:
        stream.write(event(9).to_json() + "\n")
    assert cut_to_snapshot(path, mark) == 0
    # compressed: refused by name
    (tmp_path / "e.jsonl.copy").write_bytes(b"\x1f\x8b...")
    with pytest.raises(InputError, match="delaycompress"):
        cut_to_snapshot(path, mark)


def test_files_that_a_running_run_writes_are_not_taken_back(tmp_path):
    """A second run, started by mistake between a rename and SIGHUP: the first one still writes the renamed file."""
    path, old = tmp_path / "e.jsonl", tmp_path / "e.jsonl.1"
    file = EventFile(path)
    file.write([event(1)])
    mark = Mark(file.length, file.inode, file.tail())
    file.write([event(2)])
    path.rename(old)
    for current, before in ((mark, ()), (Mark(0, 99), (mark,))):
        with pytest.raises(InputError) as error:
            cut_to_snapshot(path, current, before)
        assert error.value.code == "events-in-use"
    file.write([event(3)])
    assert not file.truncated
    assert len(old.read_text().splitlines()) == 3
    file.close()
    assert cut_to_snapshot(path, mark) == 0
    assert old.stat().st_size == mark.bytes


# --- a run


def follow(tmp_path: Path, *options: object) -> subprocess.Popen:
    """A run that follows a file of features. Its standard error goes to a file, so that nothing blocks."""
    arguments = [tmp_path / "f.f32", "--stream", "--follow", "--idle-s", "30", "--out", tmp_path / "e.jsonl", *options]
    with (tmp_path / "err").open("a") as err:
        return subprocess.Popen([*PUNCTUM, *map(str, arguments)], stderr=err, stdout=subprocess.DEVNULL)


def feed(tmp_path: Path, rows: np.ndarray) -> None:
    with (tmp_path / "f.f32").open("ab") as stream:
        stream.write(rows.astype(np.float32).tobytes())


@pytest.fixture(scope="module")
def recording(tmp_path_factory) -> tuple[np.ndarray, bytes]:
    """Features, and the events of a run that nobody disturbs."""
    folder = tmp_path_factory.mktemp("whole")
    rows = make_sequence(5, seconds=120).features
    feed(folder, rows)
    out = folder / "e.jsonl"
    done = subprocess.run(
        [*PUNCTUM, str(folder / "f.f32"), "--stream", "--out", str(out)], stderr=subprocess.PIPE, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert out.read_bytes().count(b"\n") > 8
    return rows, out.read_bytes()


def lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


@pytest.mark.parametrize("way", ["rename", "copytruncate", "logrotate"])
@pytest.mark.parametrize("snapshot", [False, True])
def test_a_run_goes_on_over_rotations(recording, tmp_path, way, snapshot):
    rows, wanted = recording
    path, old = tmp_path / "e.jsonl", tmp_path / "e.jsonl.1"
    rotator = shutil.which("logrotate") or shutil.which("logrotate", path="/usr/sbin")
    if way == "logrotate" and rotator is None:
        pytest.skip("logrotate is not installed")
    half = len(rows) // 2
    feed(tmp_path, rows[:half])
    options = ["--snapshot", tmp_path / "s", "--snapshot-every", 0] if snapshot else []
    run = follow(tmp_path, *options)
    try:
        wait_for(lambda: lines(path) >= 3)
        time.sleep(0.5)
        before = lines(path)
        if way == "rename":
            path.rename(old)
            run.send_signal(signal.SIGHUP)
            wait_for(path.exists)
        elif way == "copytruncate":
            shutil.copy(path, old)
            os.truncate(path, 0)
        else:
            config = tmp_path / "logrotate.conf"
            config.write_text(
                f"{path} {{\n rotate 5\n missingok\n nocompress\n postrotate\n  kill -HUP {run.pid}\n endscript\n}}\n"
            )
            config.chmod(0o644)
            subprocess.run([rotator, "-f", "-s", str(tmp_path / "state"), str(config)], check=True, timeout=30)
            wait_for(path.exists)
        feed(tmp_path, rows[half:])
        wait_for(lambda: lines(path) > 0)
        time.sleep(0.5)
    finally:
        run.send_signal(signal.SIGTERM)
        code = run.wait(timeout=60)
    assert code == 0, (tmp_path / "err").read_text()
    assert lines(old) >= before
    found = old.read_bytes() + path.read_bytes()
    assert b"\0" not in found
    assert found == wanted


@pytest.mark.parametrize("moment", ["before the signal", "after the signal", "truncated"])
def test_kill_and_go_on_around_a_rotation(recording, tmp_path, moment):
    """kill -9 beside a rotation, then the same command again: the files together are byte for byte those of a run
    without either."""
    rows, wanted = recording
    path, old = tmp_path / "e.jsonl", tmp_path / "e.jsonl.1"
    third = len(rows) // 3
    feed(tmp_path, rows[:third])
    options = ["--snapshot", tmp_path / "s", "--snapshot-every", "0.2" if moment == "truncated" else "0"]
    run = follow(tmp_path, *options)
    try:
        wait_for(lambda: lines(path) >= 2 and (tmp_path / "s").exists())
        time.sleep(0.6)
        if moment == "truncated":
            run.send_signal(signal.SIGSTOP)  # so that it cannot notice before it is killed
            shutil.copy(path, old)
            os.truncate(path, 0)
        else:
            path.rename(old)
        if moment == "after the signal":
            run.send_signal(signal.SIGHUP)
            wait_for(path.exists)
            feed(tmp_path, rows[third : 2 * third])
            wait_for(lambda: lines(path) >= 1)
        elif moment == "before the signal":
            feed(tmp_path, rows[third : 2 * third])
            grown = old.stat().st_size
            wait_for(lambda: old.stat().st_size > grown)
    finally:
        run.kill()
        run.wait(timeout=30)
    written = (tmp_path / "f.f32").stat().st_size // (4 * rows.shape[1])
    feed(tmp_path, rows[written:])
    done = subprocess.run(
        [*PUNCTUM, *map(str, (tmp_path / "f.f32", "--stream", "--out", path, *options))],
        stderr=subprocess.PIPE,
        timeout=120,
    )
    # The snapshot belongs to the options, of which following is none.
    assert done.returncode == 0, done.stderr.decode()
    assert b"resuming from" in done.stderr
    assert old.read_bytes() + path.read_bytes() == wanted


def test_a_hangup_while_the_run_starts(recording, tmp_path):
    """As of a rotation that meets a service in its first second: it is no reason to end."""
    rows, wanted = recording
    feed(tmp_path, rows)
    command = [*PUNCTUM, tmp_path / "f.f32", "--stream", "--out", tmp_path / "e.jsonl", "--metrics", "127.0.0.1:0"]
    run = subprocess.Popen([str(word) for word in command], stderr=subprocess.PIPE)
    assert b"metrics on port" in run.stderr.readline()  # the bundle is not loaded yet
    run.send_signal(signal.SIGHUP)
    _, told = run.communicate(timeout=120)
    assert run.returncode == 0, told
    assert (tmp_path / "e.jsonl").read_bytes() == wanted


def test_a_hangup_without_an_event_file_ends_the_run_cleanly(recording, tmp_path):
    rows, _ = recording
    feed(tmp_path, rows)
    with (tmp_path / "out").open("w") as out, (tmp_path / "err").open("w") as err:
        run = subprocess.Popen(
            [*PUNCTUM, str(tmp_path / "f.f32"), "--stream", "--follow"],
            stdout=out,
            stderr=err,
            preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
        )
    try:
        wait_for(lambda: lines(tmp_path / "out") >= 8)
        time.sleep(0.5)
        run.send_signal(signal.SIGHUP)
        assert run.wait(timeout=60) == 0
    finally:
        run.kill()
    assert "ended by SIGHUP" in (tmp_path / "err").read_text()

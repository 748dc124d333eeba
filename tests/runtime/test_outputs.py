"""Where results may go: links, devices, pipes and descriptors; never over an input or somebody else's file."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from punctum.runtime.errors import InputError, PunctumError
from punctum.runtime.files.atomic import atomic_folder, atomic_write, destination
from punctum.runtime.files.outputs import ACTIVITYNET, EVENTS, FIGURE, REPORT, Output, check_folder

EVENT = b'{"schema":"punctum.event/1","stream":"cam"}\n'
OWN = {
    EVENTS: EVENT,
    ACTIVITYNET: b'{\n "version": "punctum",\n "results": {}}',
    REPORT: b"<!doctype html>\n<title>clip \xe2\x80\x93 punctum report</title>",
    FIGURE: b'<?xml version="1.0"?>\n<svg><dc:title>Matplotlib v3.9</dc:title></svg>',
}


def refused(code: str, path: Path, kind=EVENTS, **options) -> str:
    with pytest.raises(InputError) as caught:
        Output(path, kind, **options)
    assert caught.value.code == code
    assert caught.value.next_step
    return str(caught.value)


def reading(pipe: Path) -> tuple[threading.Thread, list[bytes]]:
    found: list[bytes] = []
    thread = threading.Thread(target=lambda: found.append(pipe.read_bytes()), daemon=True)
    thread.start()
    return thread, found


def test_links_are_followed_and_stay(tmp_path):
    (tmp_path / "far").mkdir()
    chain = [tmp_path / "a", tmp_path / "b", tmp_path / "far" / "c"]
    chain[0].symlink_to("b")
    chain[1].symlink_to(chain[2])
    atomic_write(chain[0], b"1")  # nothing is there yet
    assert chain[2].read_bytes() == b"1"
    atomic_write(chain[0], EVENT)
    Output(chain[0], EVENTS).write(EVENT * 2)
    assert chain[2].read_bytes() == EVENT * 2
    assert chain[0].is_symlink()
    assert chain[1].is_symlink()
    loop = tmp_path / "loop"
    loop.symlink_to("loop")
    refused("output-loop", loop)


def test_a_named_pipe_is_written_to(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    thread, found = reading(pipe)
    Output(pipe, EVENTS).write(EVENT)
    thread.join(10)
    assert found == [EVENT]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


@pytest.mark.skipif(os.geteuid() != 0, reason="making devices needs root")
def test_a_device_is_written_to(tmp_path):
    null, full, disk = (tmp_path / name for name in ("null", "full", "disk"))
    try:
        os.mknod(null, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        os.mknod(full, 0o666 | stat.S_IFCHR, os.makedev(1, 7))
        os.mknod(disk, 0o600 | stat.S_IFBLK, os.makedev(7, 200))
        Output(null, EVENTS).write(EVENT)
    except PermissionError:
        pytest.skip("this system lets nobody make or open devices here")
    assert stat.S_ISCHR(null.stat().st_mode)
    with pytest.raises(PunctumError) as caught:
        Output(full, EVENTS).write(EVENT)
    assert caught.value.code == "write-failed"
    assert stat.S_ISCHR(full.stat().st_mode)
    refused("output", disk)


@pytest.mark.parametrize("spelled", ["/proc/self/fd/{}", "/dev/fd/{}", "link"])
def test_a_descriptor_is_appended_to(tmp_path, spelled):
    kept = tmp_path / "kept.log"
    kept.write_text("before\n")
    handle = os.open(kept, os.O_WRONLY | os.O_APPEND)
    try:
        path = Path(spelled.format(handle))
        if spelled == "link":
            path = tmp_path / "link"
            path.symlink_to(f"/proc/self/fd/{handle}")
        assert destination(path)[1] == handle
        Output(path, EVENTS).write(EVENT)
    finally:
        os.close(handle)
    assert kept.read_bytes() == b"before\n" + EVENT


def test_an_input_is_no_output_whatever_it_is_called(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    video = tmp_path / "v.mp4"
    video.write_bytes(EVENT)  # even one that looks like events
    (tmp_path / "soft").symlink_to(video)
    os.link(video, tmp_path / "hard")
    (tmp_path / "sub").mkdir()
    for path in ("v.mp4", "./v.mp4", "sub/../v.mp4", "soft", "hard", str(video)):
        for given in (video, Path("v.mp4"), tmp_path / "soft", tmp_path / "hard", f"file://{video}"):
            assert "is the input" in refused("output-is-input", Path(path), inputs=(given,))
    Output(Path("other"), EVENTS, inputs=(video, "-", "rtsp://cam/1", tmp_path / "absent"))


@pytest.mark.parametrize("kind", OWN)
def test_only_its_own_kind_is_replaced(tmp_path, kind):
    path = tmp_path / "out"
    Output(path, kind)
    path.touch()
    Output(path, kind)
    for other, head in OWN.items():
        path.write_bytes(head)
        if other is kind:
            Output(path, kind).write(head + b"\n")
        else:
            assert "remove the file" in refused("output-exists", path, kind)
    for foreign in (b"\x00\x00\x00\x18ftypmp42", b"import os\n", b'{"a": 1}', b"\x93NUMPY", b"PK\x03\x04", b"hello"):
        path.write_bytes(foreign)
        refused("output-exists", path, kind)
        assert path.read_bytes() == foreign


def test_a_place_where_nothing_can_be_made(tmp_path):
    (tmp_path / "file").write_text("mine")
    assert "is a file" in refused("output", tmp_path / "file" / "below" / "e.jsonl")
    assert "is a folder" in refused("output", tmp_path)
    Output(tmp_path / "new" / "below" / "e.jsonl", EVENTS).write(EVENT)
    if os.geteuid():
        (tmp_path / "locked").mkdir(0o500)
        assert "may not be written to" in refused("output", tmp_path / "locked" / "e.jsonl")


def test_what_appears_in_the_meantime_is_kept(tmp_path):
    target = Output(tmp_path / "out", EVENTS)
    (tmp_path / "out").write_text("mine")
    with pytest.raises(InputError):
        target.write(EVENT)
    assert (tmp_path / "out").read_text() == "mine"


def test_folders(tmp_path):
    inputs = tmp_path / "data" / "videos"
    inputs.mkdir(parents=True)
    (inputs / "a.mp4").touch()
    (tmp_path / "link").symlink_to(inputs)
    for path in (inputs, tmp_path / "data", tmp_path / "link", tmp_path / "data" / ".." / "data"):
        with pytest.raises(InputError) as caught:
            check_folder(path, [inputs])
        assert caught.value.code == "output-is-input"
    assert check_folder(inputs / "below", [inputs]) == inputs / "below"
    (tmp_path / "dangling").symlink_to("made/later")
    assert check_folder(tmp_path / "dangling", [inputs]) == tmp_path / "made" / "later"
    check_folder(inputs, [inputs / "a.mp4"])
    with pytest.raises(InputError):
        check_folder(inputs, [inputs / "a.mp4"], whole=True)
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "manifest.json").touch()
    for path in (tmp_path / "bundle" / "x", tmp_path / "bundle" / "y" / "x"):
        with pytest.raises(InputError, match="lies in the bundle"):
            check_folder(path, [tmp_path / "bundle"])
        assert "lies in the bundle" in refused("output-is-input", path, inputs=(tmp_path / "bundle",))
    with pytest.raises(InputError, match="is a file") as caught:
        check_folder(inputs / "a.mp4" / "x" / "y", [])
    assert caught.value.code == "output"
    for path in (Path("-"), inputs / "a.mp4"):
        with pytest.raises(InputError):
            check_folder(path, [])


def test_a_folder_behind_a_link_is_made_and_replaced(tmp_path):
    (tmp_path / "link").symlink_to("real")
    with atomic_folder(tmp_path / "link") as draft:
        (draft / "a").write_text("1")
    assert (tmp_path / "real" / "a").read_text() == "1"
    with atomic_folder(tmp_path / "link", replace=True, own=lambda folder: (folder / "a").exists()) as draft:
        (draft / "b").write_text("2")
    assert [p.name for p in (tmp_path / "real").iterdir()] == ["b"]
    assert (tmp_path / "link").is_symlink()
    (tmp_path / "file").write_text("mine")
    for path in (tmp_path / "file", tmp_path / "real"):
        with pytest.raises(InputError), atomic_folder(path, replace=True, own=lambda folder: (folder / "a").exists()):
            pass
    assert (tmp_path / "file").read_text() == "mine"
    assert [p.name for p in (tmp_path / "real").iterdir()] == ["b"]


def test_a_bundle_replaces_a_bundle_and_nothing_else(tmp_path):
    from importlib import resources

    from punctum.runtime import Bundle
    from punctum.runtime.bundle.writer import save_bundle

    bundle = Bundle.load(Path(str(resources.files("punctum.runtime") / "assets" / "demo")))
    save_bundle(bundle, tmp_path / "b")
    save_bundle(bundle, tmp_path / "b", replace=True)
    (tmp_path / "b" / "notes.txt").write_text("years")
    with pytest.raises(InputError) as caught:
        save_bundle(bundle, tmp_path / "b", replace=True)
    assert caught.value.code == "output-exists"
    assert (tmp_path / "b" / "notes.txt").read_text() == "years"


def test_standard_output_in_any_encoding():
    code = (
        "from punctum.runtime.files.outputs import to_standard_output\n"
        "print('first', end=' ')\nto_standard_output('\\u00e9\\u4e2d\\n')"
    )
    for encoding in ("ascii", "latin-1", "utf-16"):
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, env={**os.environ, "PYTHONIOENCODING": encoding}
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.endswith("é中\n".encode())


def test_a_full_disk_names_the_folder(tmp_path):
    def fill() -> None:
        with atomic_folder(tmp_path / "made"):
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(PunctumError, match="made") as caught:
        fill()
    assert caught.value.code == "write-failed" and not list(tmp_path.iterdir())

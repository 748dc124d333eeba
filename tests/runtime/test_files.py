"""Files that are whole or absent, and that others may read like any file."""

from __future__ import annotations

import os
import shutil
import sys
import threading
from pathlib import Path

import pytest
from punctum.runtime.errors import InputError, PunctumError
from punctum.runtime.files.atomic import atomic_folder, atomic_write, remove_drafts


@pytest.fixture
def mask():
    """Set the mask of this process; it is given back."""
    before = os.umask(0)
    os.umask(before)
    yield os.umask
    os.umask(before)


def mode(path) -> int:
    return path.stat().st_mode & 0o777


@pytest.mark.parametrize(
    ("masked", "file", "folder"), [(0o022, 0o644, 0o755), (0o077, 0o600, 0o700), (0, 0o666, 0o777)]
)
def test_the_users_mask_says_who_may_read(tmp_path, mask, masked, file, folder):
    mask(masked)
    atomic_write(tmp_path / "below" / "a.json", "{}")
    with atomic_folder(tmp_path / "made") as draft:
        (draft / "b.json").write_text("{}")
    assert (mode(tmp_path / "below"), mode(tmp_path / "below" / "a.json")) == (folder, file)
    assert (mode(tmp_path / "made"), mode(tmp_path / "made" / "b.json")) == (folder, file)


def test_a_file_that_is_replaced_keeps_its_mode(tmp_path, mask):
    mask(0o022)
    path = tmp_path / "a.json"
    path.write_text("old")
    path.chmod(0o640)
    atomic_write(path, b"new")
    assert (path.read_text(), mode(path)) == ("new", 0o640)


def test_many_writers_of_one_file_leave_one_whole_file(tmp_path):
    path = tmp_path / "a.bin"
    texts = [bytes([i]) * 50_000 for i in range(8)]
    writers = [threading.Thread(target=atomic_write, args=(path, text)) for text in texts]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert path.read_bytes() in texts
    assert list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_written_leaves_nothing(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "file" / "below.json", tmp_path / "folder"):
        with pytest.raises(PunctumError) as caught:
            atomic_write(path, "{}")
        assert caught.value.code == "write-failed"
        assert "Errno" not in str(caught.value)
    with pytest.raises(PunctumError) as caught, atomic_folder(tmp_path / "file" / "below"):
        pass
    assert caught.value.code == "write-failed"
    with pytest.raises(InputError), atomic_folder(tmp_path / "file"):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


def test_a_folder_comes_whole_or_not_at_all(tmp_path):
    with atomic_folder(tmp_path / "made") as draft:
        (draft / "a").write_text("1")
    with pytest.raises(ValueError, match="broken off"), atomic_folder(tmp_path / "made", replace=True) as draft:
        (draft / "a").write_text("2")
        raise ValueError("broken off")
    assert (tmp_path / "made" / "a").read_text() == "1"
    with atomic_folder(tmp_path / "made", replace=True) as draft:
        (draft / "b").write_text("3")
    assert [path.name for path in (tmp_path / "made").iterdir()] == ["b"]
    assert [path.name for path in tmp_path.iterdir()] == ["made"]


def test_names_as_long_as_file_systems_have_them(tmp_path):
    for name in ("n" * 255, "ü" * 127, "n" * 242):
        atomic_write(tmp_path / name, "a")
        atomic_write(tmp_path / name, "b")
        assert (tmp_path / name).read_text() == "b"
        (tmp_path / name).unlink()
        for _ in range(2):
            with atomic_folder(tmp_path / name, replace=True) as draft:
                (draft / "a").write_text("a")
        shutil.rmtree(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_what_killed_writers_left_is_removed_and_nothing_else(tmp_path):
    (tmp_path / ".a.bin.0123abcd").write_bytes(b"half")
    (tmp_path / ".a.bin.old.0123abcd").mkdir()
    (tmp_path / ".a.bin.old.0123abcd" / "x").write_bytes(b"x")
    others = ["a.bin", ".a.bin", ".a.bin.0123abc", ".a.bin.bak.0123abcd", ".b.bin.0123abcd", "a.bin.0123abcd"]
    for name in others:
        (tmp_path / name).write_bytes(b"kept")
    remove_drafts(tmp_path / "a.bin")
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(others)
    remove_drafts(tmp_path / "absent" / "a.bin")


@pytest.mark.parametrize("exchanged", [True, False])
def test_a_folder_is_replaced_as_a_whole(tmp_path, monkeypatch, exchanged):
    if not exchanged:
        monkeypatch.setattr("punctum.runtime.files.atomic._exchange", lambda one, other: False)
    target = tmp_path / "bundle"
    for content in ("old", "new"):
        with atomic_folder(target, replace=True) as folder:
            (folder / content).write_text(content)
    assert [p.name for p in target.iterdir()] == ["new"]
    assert [p.name for p in tmp_path.iterdir()] == ["bundle"]


@pytest.mark.skipif(sys.platform != "linux", reason="renameat2 is a call of Linux")
def test_a_folder_that_is_replaced_is_never_absent(tmp_path, monkeypatch):
    target, rename = tmp_path / "bundle", Path.rename
    target.mkdir()
    (target / "old").touch()

    def watched(self, other):
        found = rename(self, other)
        assert target.exists()  # as a process that is killed here would leave it
        return found

    monkeypatch.setattr(Path, "rename", watched)
    with atomic_folder(target, replace=True) as folder:
        (folder / "new").touch()
    assert (target / "new").exists()

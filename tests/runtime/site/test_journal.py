"""Journals and snapshots of streams: cut or damaged anywhere, what is readable is right."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from punctum.runtime.errors import InputError
from punctum.runtime.site.engine.journal import MAGIC, Journal, Record, read_journal
from punctum.runtime.site.engine.snapshot import Cursor, StreamSnapshot

RECORDS = [
    Record({"type": "stream", "bundle_id": "b"}),
    Record({"type": "chunk", "at": 1.5, "position": None}, np.arange(12, dtype=np.float32).reshape(3, 4)),
    Record({"type": "chunk", "at": 2.0, "position": {"row": 1}}, np.zeros((0, 4), np.float32)),
    Record({"type": "gap", "until_s": 9.0}),
]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("journal") / "journal.0"
    journal = Journal(path)
    for record in RECORDS:
        journal.append(record)
    journal.sync()
    journal.close()
    return path.read_bytes()


def read(data: bytes, folder: Path):
    path = folder / "journal.1"
    path.write_bytes(data)
    return read_journal(path)


def test_what_was_written_is_read(data: bytes, tmp_path: Path) -> None:
    found = read(data, tmp_path)
    assert found.records == RECORDS and found.lost == 0 and found.length == len(data)
    assert read_journal(tmp_path / "none").records == []


def test_every_cut_and_every_changed_byte(data: bytes, tmp_path: Path) -> None:
    for cut in range(len(data)):
        found = read(data[:cut], tmp_path)
        assert found.records == RECORDS[: len(found.records)]
        assert found.length + found.lost == cut and found.length <= cut
        changed = bytearray(data)
        changed[cut] ^= 0x41
        found = read(bytes(changed), tmp_path)
        assert found.records == RECORDS[: len(found.records)] and len(found.records) < len(RECORDS)


@given(st.binary(max_size=200))
def test_anything(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        found = read(MAGIC + content, Path(folder))
        assert found.length + found.lost == len(MAGIC + content)


def test_a_torn_tail_is_cut_before_more_is_written(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "journal.0"
    path.write_bytes(data[:-3])
    found = read_journal(path)
    journal = Journal(path, found.length)
    journal.append(RECORDS[1])
    journal.close()
    assert read_journal(path).records == [*RECORDS[:3], RECORDS[1]]


def snapshot() -> StreamSnapshot:
    cursor = Cursor(run_id="r", runs=2, now_s=1.5, position={"lap_s": 0.0}, max_delay_s=None)
    return StreamSnapshot("cam", "cam", "b", 7, cursor, {"cam/r/0": 1}, {"anchors": []}, b"session")


def test_snapshots_are_read_as_written_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "snapshot"
    assert StreamSnapshot.load(path) is None
    snapshot().save(path)
    assert StreamSnapshot.load(path) == snapshot()
    assert snapshot().cursor.present_run == "r.2"
    data = path.read_bytes()
    for cut in range(0, len(data), 5):
        for content in (data[:cut], data[:cut] + bytes([data[cut] ^ 1]) + data[cut + 1 :]):
            path.write_bytes(content)
            with pytest.raises(InputError):
                StreamSnapshot.load(path)

"""Snapshots of sessions and of runs that were tampered with: one clear error, or a session that works."""

from __future__ import annotations

import hashlib
import json
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from punctum.runtime import InputError
from punctum.runtime.live import LiveOptions
from punctum.runtime.service.checkpoint import MAGIC as RUN_MAGIC
from punctum.runtime.service.checkpoint import Checkpoint
from punctum.runtime.service.loop import Loop
from punctum.runtime.session.snapshot import MAGIC
from punctum.runtime.sources.tail import RowFile

from tests.helpers import fakes

VALUES = [
    None,
    True,
    False,
    [],
    {},
    [[]],
    "",
    "x",
    "\u0000",
    "9" * 5000,
    "NaN",
    0,
    -1,
    1,
    2,
    0.5,
    -0.5,
    1.5,
    1e300,
    -1e300,
]
VALUES += [2**31, 2**53 + 1, 2**63, 2**64, 10**30, 10**400, float("nan"), float("inf"), [1, 2, 3], {"a": 1}, [None]]


def snapshots() -> list[bytes]:
    made = []
    for live in (None, LiveOptions(max_delay_s=0.6)):
        session = fakes.localizer(fusion=fakes.WITH_HEAD).session(stream="s", live=live, run_id="r")
        session.push(fakes.recording(1, 120))
        session.push(fakes.recording(2, 37), at=20.0, lost=[(1, 2)])
        made.append(session.snapshot())
    return made


SNAPSHOTS = snapshots()


def parts(data: bytes) -> tuple[dict, bytes]:
    (size,) = struct.unpack("<I", data[len(MAGIC) : len(MAGIC) + 4])
    start = len(MAGIC) + 4
    return json.loads(data[start : start + size]), data[start + size : -32]


def sealed(magic: bytes, header: object, body: bytes) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    data = magic + struct.pack("<I", len(text)) + text + body
    return data + hashlib.sha256(data).digest()


def places(value: object, path: tuple = ()) -> list[tuple]:
    found = [path] if path else []
    items = value.items() if isinstance(value, dict) else enumerate(value[:5]) if isinstance(value, list) else ()
    return found + [place for key, inner in items for place in places(inner, (*path, key))]


def changed(header: dict, path: tuple, value: object) -> dict:
    header = json.loads(json.dumps(header))
    inside = header
    for key in path[:-1]:
        inside = inside[key]
    if value == "delete":
        del inside[path[-1]]
    elif value == "double" and isinstance(inside, list):
        inside.append(inside[path[-1]])
    else:
        inside[path[-1]] = value
    return header


def use(data: bytes) -> None:
    """Restore, go on, end: whatever is accepted works."""
    session = fakes.localizer(fusion=fakes.WITH_HEAD).restore(data)
    events = session.push(fakes.recording(3, 40)) if not session.closed else []
    events += session.flush() if not session.closed else []
    for event in events:
        json.loads(event.to_json())
    session.snapshot()


@settings(max_examples=300)
@given(st.data())
def test_a_changed_header_is_refused_by_name_or_works(data):
    header, body = parts(data.draw(st.sampled_from(SNAPSHOTS)))
    for _ in range(data.draw(st.integers(1, 2))):
        where = data.draw(st.sampled_from([p for p in places(header) if p[0] != "plan"]))
        header = changed(header, where, data.draw(st.sampled_from([*VALUES, "delete", "double"])))
    try:
        use(sealed(MAGIC, header, body))
    except InputError as error:
        assert error.code.startswith(("snapshot-", "live-options", "time-"))
        assert len(str(error)) < 1000


def test_each_field_of_a_header_alone():
    for data in SNAPSHOTS:
        header, body = parts(data)
        refused = 0
        paths = places(header)
        for path in paths:
            for value in ("x", -1, None, [], 10**400, float("nan"), "delete"):
                try:
                    use(sealed(MAGIC, changed(header, path, value), body))
                except InputError:
                    refused += 1
        assert refused > 4 * len(paths)


@settings(max_examples=200)
@given(st.sampled_from(SNAPSHOTS), st.data())
def test_changed_bytes_are_refused_even_under_a_right_checksum(snapshot, data):
    body = bytearray(snapshot[:-32])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(body) - 1))
        body[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=9))
    try:
        use(bytes(body) + hashlib.sha256(body).digest())
    except InputError as error:
        assert error.code.startswith(("snapshot-", "live-options", "time-"))


def test_a_header_that_asks_for_much_memory_gets_none():
    header, body = parts(SNAPSHOTS[0])
    hostile = [
        changed(header, ("arrays", "features", "shape"), [2**40, 4]),
        changed(header, ("arrays", "features", "shape"), [0, 2**50]),
    ]
    hostile += [b"[" * 200_000, b'{"version":' + b"9" * 100_000 + b"}", b'{"a":' * 100_000]
    tracemalloc.start()
    for one in hostile:
        with pytest.raises(InputError) as error:
            use(sealed(MAGIC, one, body))
        assert error.value.code == "snapshot-damaged"
    assert tracemalloc.get_traced_memory()[1] < 50e6
    tracemalloc.stop()


def test_snapshots_of_the_version_before_are_refused_by_name():
    header, body = parts(SNAPSHOTS[0])
    with pytest.raises(InputError) as error:
        use(sealed(MAGIC, header | {"version": 2}, body))
    assert error.value.code == "snapshot-version"
    assert "version 2" in error.value.given


@pytest.fixture
def run(tmp_path):
    """A file of features, the header of a checkpoint in it, and the session's snapshot."""
    rows = fakes.recording(5, 200)
    np.save(tmp_path / "x.npy", rows)
    session = fakes.localizer().session(stream="x")
    session.push(rows[:120])
    header = {"version": 1, "source": "RowFile x.npy", "position": {"row": 120}, "event_bytes": 0, "reported": []}
    return tmp_path, header, session.snapshot()


def resumed(folder: Path, data: bytes) -> Loop:
    (folder / "run.snapshot").write_bytes(data)
    checkpoint = Checkpoint.load(folder / "run.snapshot")
    source = RowFile(folder / "x.npy", dim=fakes.DIM)
    try:
        loop = Loop(fakes.localizer(), source, [])
        loop.resume(checkpoint)
        loop.run()
    finally:
        source.close()
    return loop


def test_a_whole_checkpoint_goes_on(run):
    folder, header, session = run
    assert resumed(folder, sealed(RUN_MAGIC, header, session)).session.stats.snippets == 200


def test_each_field_of_a_checkpoint_alone(run):
    folder, header, session = run
    for path in places(header):
        for value in [*VALUES, "delete", {"file": "a.npy", "row": 3}, {"snippet": 120}, {"row": 0}, {"row": 121}]:
            try:
                loop = resumed(folder, sealed(RUN_MAGIC, changed(header, path, value), session))
            except InputError as error:
                assert error.code.startswith(("snapshot-", "features-", "file-"))
                assert len(str(error)) < 1000
            else:
                assert loop.session.stats.snippets == 200
    for text in (b"[" * 200_000, b'{"version":' + b"9" * 100_000 + b"}", b"", b"\xff", b'{"version":1}'):
        with pytest.raises(InputError):
            resumed(folder, sealed(RUN_MAGIC, text, session))

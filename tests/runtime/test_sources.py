"""Framing, growing files, folders, sockets: what comes out is what went in, and every fault says where it is."""

from __future__ import annotations

import errno
import itertools
import math
import os
import socket
import struct
import threading
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from punctum.runtime.errors import InputError, SourceLostError
from punctum.runtime.sources.folder import ChunkFolder, chunk_name
from punctum.runtime.sources.frame_parser import FrameParser
from punctum.runtime.sources.framing import MAX_PAYLOAD, encode_end, encode_header, encode_record
from punctum.runtime.sources.items import Bad, Begin, Chunk
from punctum.runtime.sources.open import open_source

DIM, STRIDE = 3, 0.1
HEADER = encode_header(dim=DIM, stride_s=STRIDE, start_s=2.0, name="cam é")


def rows(n: int, first: int = 0) -> np.ndarray:
    return (np.arange(n * DIM, dtype=np.float32) + first).reshape(n, DIM)


def parse(data: bytes, cuts: list[int] | None = None):
    """All records of `data` fed in pieces, and the error that ended it, if any."""
    parser, found = FrameParser(), []
    edges = sorted({0, len(data), *(c for c in cuts or [] if c < len(data))})
    try:
        for low, high in itertools.pairwise(edges):
            parser.feed(data[low:high])
            found.extend(parser.records())
        parser.finish()
    except InputError as error:
        return parser, found, error
    return parser, found, None


@given(st.lists(st.integers(0, 9), max_size=6), st.lists(st.integers(0, 600), max_size=8))
def test_what_goes_in_comes_out_in_any_pieces(sizes, cuts):
    data = HEADER + b"".join(encode_record(rows(n, i), at=i * 1.5) for i, n in enumerate(sizes)) + encode_end()
    parser, found, error = parse(data, cuts)
    assert error is None
    assert parser.header is not None
    assert (parser.header.dim, parser.header.start_s, parser.header.name) == (DIM, 2.0, "cam é")
    assert [len(r.rows) for r in found] == [*sizes, 0]
    assert [r.at for r in found[:-1]] == [i * 1.5 for i in range(len(sizes))]
    for i, record in enumerate(found[:-1]):
        np.testing.assert_array_equal(record.rows, rows(sizes[i], i))
    assert found[-1].is_end
    assert found[-1].end_offset == len(data)


def broken_record(**changes) -> bytes:
    fields = {"kind": 1, "count": 2, "at": math.nan, "size": 2 * DIM * 4} | changes
    head = struct.pack("<IIdI", fields["kind"], fields["count"], fields["at"], fields["size"])
    payload = bytes(min(fields["size"], 64))
    return head + struct.pack("<I", zlib.crc32(head + payload) ^ changes.get("flip", 0)) + payload


GOOD = encode_record(rows(4))
OFFSET = len(HEADER) + len(GOOD)


@pytest.mark.parametrize(
    ("tail", "code"),
    [
        (GOOD[:-1], "frame-cut"),
        (GOOD[:10], "frame-cut"),
        (b"", "frame-no-end"),
        (broken_record(kind=7), "frame-type"),
        (broken_record(count=3), "frame-size"),
        (broken_record(count=1 << 30, size=MAX_PAYLOAD + 4), "frame-oversized"),
        (broken_record(count=0xFFFFFFFF, size=0xFFFFFFFF), "frame-oversized"),
        (broken_record(at=math.inf), "frame-time"),
        (broken_record(flip=1), "frame-crc"),
        (broken_record(kind=2, count=1), "frame-size"),
    ],
)
def test_a_fault_names_record_and_byte_and_keeps_what_came_before(tail, code):
    _, found, error = parse(HEADER + GOOD + tail)
    assert error is not None
    assert error.code == code
    assert len(found) == 1
    np.testing.assert_array_equal(found[0].rows, rows(4))
    assert f"byte {OFFSET}" in str(error)
    assert "record 2" in str(error) or "record 1" in str(error)


def with_crc(head: bytes) -> bytes:
    return head + struct.pack("<I", zlib.crc32(head))


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "frame-magic"),
        (b"P", "frame-cut"),
        (b"", "frame-cut"),
        (HEADER[:20], "frame-cut"),
        (with_crc(struct.pack("<4sHHIIdd", b"PNCT", 9, 1, DIM, 0, 0.1, 0.0)), "frame-version"),
        (with_crc(struct.pack("<4sHHIIdd", b"PNCT", 1, 2, DIM, 0, 0.1, 0.0)), "frame-dtype"),
        (with_crc(struct.pack("<4sHHIIdd", b"PNCT", 1, 1, 0, 0, 0.1, 0.0)), "frame-header"),
        (with_crc(struct.pack("<4sHHIIdd", b"PNCT", 1, 1, DIM, 0, math.nan, 0.0)), "frame-header"),
        (with_crc(struct.pack("<4sHHIIdd", b"PNCT", 1, 1, DIM, 999, 0.1, 0.0)), "frame-name"),
        (with_crc(struct.pack("<4sHHIIdd", b"PNCT", 1, 1, DIM, 1, 0.1, 0.0) + b"\xff"), "frame-name"),
        (HEADER[:-1] + b"\x00", "frame-crc"),
    ],
)
def test_a_bad_header(data, code):
    _, found, error = parse(data)
    assert error is not None
    assert error.code == code
    assert found == []


@given(st.binary(max_size=200))
def test_noise_never_crashes_and_is_bounded(noise):
    parser, _, error = parse(HEADER + noise)
    assert error is not None or parser.ended
    assert len(parser._buffer) <= len(noise)


def drain(address, **options):
    """Items of a source that ends; (begins, chunks, bad, error)."""
    source = open_source(str(address), dim=DIM, stride_s=STRIDE, **options)
    begins, chunks, bad, fault = [], [], [], None
    try:
        for item in source.items():
            if isinstance(item, Begin):
                begins.append(item)
            elif isinstance(item, Chunk):
                chunks.append(item)
            elif isinstance(item, Bad):
                bad.append(item)
    except InputError as error:
        fault = error
    finally:
        source.close()
    return begins, chunks, bad, fault


def joined(chunks) -> np.ndarray:
    return np.concatenate([c.rows for c in chunks]) if chunks else np.zeros((0, DIM), np.float32)


@pytest.mark.parametrize("dtype", ["<f4", "<f8", "<f2", ">f4", "<i2"])
def test_npy_of_any_real_type_and_raw(tmp_path, dtype):
    data = rows(1300) % 997
    np.save(tmp_path / "a.npy", data.astype(dtype))
    begins, chunks, _, fault = drain(tmp_path / "a.npy", start_s=4.0)
    assert fault is None
    assert begins == [Begin("a", 4.0)]
    assert len(chunks) > 2
    np.testing.assert_array_equal(joined(chunks), data.astype(dtype).astype(np.float32))
    data.tofile(tmp_path / "a.f32")
    np.testing.assert_array_equal(joined(drain(tmp_path / "a.f32")[1]), data)


def test_a_growing_file_gives_whole_rows_only(tmp_path):
    path, data = tmp_path / "grow.npy", rows(40)
    np.save(path, data[:10])
    whole = tmp_path / "whole.npy"
    np.save(whole, data)
    rest = whole.read_bytes()[path.stat().st_size :]
    source = open_source(str(path), dim=DIM, stride_s=STRIDE, follow=True, idle_s=0.4)
    got, pieces = [], [rest[:5], rest[5:100], rest[100:]]
    for item in source.items():
        if isinstance(item, Chunk):
            got.append(item)
        elif item is None and pieces:
            with path.open("ab") as file:
                file.write(pieces.pop(0))
    source.close()
    assert not pieces
    np.testing.assert_array_equal(joined(got), data)
    assert got[-1].position == {"row": 40}


def test_files_that_are_cut_or_shrink(tmp_path):
    path = tmp_path / "cut.npy"
    np.save(path, rows(20))
    path.write_bytes(path.read_bytes()[:-5])
    _, chunks, _, fault = drain(path)
    assert fault is not None
    assert fault.code == "file-cut"
    assert "19 of the 20" in str(fault)
    np.testing.assert_array_equal(joined(chunks), rows(19))
    raw = tmp_path / "cut.f32"
    raw.write_bytes(rows(5).tobytes() + b"abc")
    _, chunks, _, fault = drain(raw, follow=True, idle_s=0.1)
    assert fault is not None
    assert (fault.code, len(joined(chunks))) == ("file-cut", 5)
    raw.write_bytes(rows(5).tobytes())
    source = open_source(str(raw), dim=DIM, stride_s=STRIDE, follow=True)
    with pytest.raises(InputError, match="4 snippets now") as caught:
        for item in source.items():
            if item is None:
                os.truncate(raw, 4 * DIM * 4)
    source.close()
    assert caught.value.code == "file-shrank"


@pytest.mark.parametrize(
    ("array", "code"),
    [
        (np.zeros((4, 7), np.float32), "features-dimension"),
        (np.zeros(4, np.float32), "features-shape"),
        (np.asfortranarray(np.zeros((4, DIM), np.float32)), "features-shape"),
        (np.zeros((4, DIM), np.complex64), "features-dtype"),
        (np.array([[{"a": 1}] * DIM], dtype=object), "features-dtype"),
    ],
)
def test_arrays_that_do_not_fit(tmp_path, array, code):
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    _, _, _, fault = drain(tmp_path / "a.npy")
    assert fault is not None
    assert fault.code == code
    (tmp_path / "folder").mkdir()
    np.save(tmp_path / "folder" / "a.npy", array, allow_pickle=True)
    _, _, bad, fault = drain(tmp_path / "folder")
    assert fault is None
    assert [b.error.code for b in bad] == [code]


def test_a_folder_takes_chunks_in_order_once_they_are_complete(tmp_path):
    for i in (2, 0, 1):
        np.save(tmp_path / chunk_name(i), rows(600, i))
    (tmp_path / "000003.npy.tmp").write_bytes(b"not yet")
    (tmp_path / ".000004.npy").write_bytes(b"not yet")
    source = open_source(str(tmp_path), dim=DIM, stride_s=STRIDE, follow=True)
    chunks, bad, step = [], [], 0
    for item in source.items():
        if isinstance(item, Chunk):
            chunks.append(item)
        elif isinstance(item, Bad):
            bad.append(item)
        elif item is None:
            step += 1
            if step == 1:
                np.save(tmp_path / "000003.npy.part.npy.tmp.npy", rows(1))  # any name that ends in .npy counts
                draft = tmp_path / "draft.tmp"
                with draft.open("wb") as file:
                    np.save(file, rows(5, 3))
                draft.rename(tmp_path / chunk_name(4, 180.5))
                np.save(tmp_path / "0000005.npy", rows(1))  # sorts before what was taken
            elif step == 2:
                (tmp_path / "END").touch()
    source.close()
    whole = np.concatenate([rows(600, i) for i in range(3)] + [rows(1), rows(5, 3)])
    np.testing.assert_array_equal(joined(chunks), whole)
    assert chunks[-1].at == 180.5
    assert [b.reason for b in bad] == ["late"]


def test_every_position_leads_to_the_rest(tmp_path):
    data = rows(1300)
    folder = tmp_path / "folder"
    folder.mkdir()
    np.save(folder / "000000@1.0.npy", data[:700])
    np.save(folder / "000001.npy", data[700:])
    np.save(tmp_path / "a.npy", data)
    framed = [encode_record(data[i : i + 100]) for i in range(0, 1300, 100)]
    (tmp_path / "a.bytes").write_bytes(HEADER + b"".join(framed) + encode_end())
    for path in (folder, tmp_path / "a.npy", tmp_path / "a.bytes"):
        _, chunks, _, fault = drain(path)
        assert fault is None
        done = 0
        for chunk in chunks:
            done += len(chunk.rows)
            source = open_source(str(path), dim=DIM, stride_s=STRIDE)
            rest = [i for i in source.items(chunk.position) if isinstance(i, Chunk)]
            source.close()
            np.testing.assert_array_equal(joined(rest), data[done:], err_msg=f"{path.name} {chunk.position}")


def send(address: str, *pieces: bytes) -> None:
    if address.startswith("unix://"):
        client = socket.socket(socket.AF_UNIX)
        client.connect(address[7:])
    else:
        host, port = address[6:].rsplit(":", 1)
        client = socket.create_connection((host, int(port)))
    with client:
        for piece in pieces:
            client.sendall(piece)


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_sockets(tmp_path, kind):
    address = "tcp://127.0.0.1:0" if kind == "tcp" else f"unix://{tmp_path / 's'}"
    source = open_source(address, dim=DIM, stride_s=STRIDE)
    data = [HEADER[:7], HEADER[7:] + encode_record(rows(3)), encode_record(rows(2), at=9.0), encode_end()]
    sender = threading.Thread(target=send, args=(source.name, *data))
    sender.start()
    items = [i for i in source.items() if i is not None]
    sender.join()
    source.close()
    assert items[0] == Begin("cam é", 2.0)
    assert [(c.at, len(c.rows)) for c in items[1:]] == [(2.0, 3), (9.0, 2)]
    assert not (tmp_path / "s").exists()


def test_a_sender_that_comes_back(tmp_path):
    source = open_source(f"unix://{tmp_path / 's'}", dim=DIM, stride_s=STRIDE, reconnect_s=20)
    again = encode_header(dim=DIM, stride_s=STRIDE, start_s=7.0, name="cam")
    cut = encode_record(rows(2))[:-3]

    def twice() -> None:
        send(source.name, HEADER, encode_record(rows(3)), cut)
        send(source.name, again, encode_record(rows(2)), encode_end())

    sender = threading.Thread(target=twice)
    sender.start()
    items = [i for i in source.items() if i is not None]
    sender.join()
    source.close()
    assert [type(i) for i in items] == [Begin, Chunk, Begin, Chunk]
    assert items[3].at == 7.0


def test_addresses(tmp_path):
    open_source(f"unix://{tmp_path / 'dead'}", dim=DIM, stride_s=STRIDE)._socket.close()  # leaves the file behind
    second = open_source(f"unix://{tmp_path / 'dead'}", dim=DIM, stride_s=STRIDE)
    with pytest.raises(InputError, match="another process listens"):
        open_source(f"unix://{tmp_path / 'dead'}", dim=DIM, stride_s=STRIDE)
    second.close()
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="not a socket"):
        open_source(f"unix://{tmp_path / 'file'}", dim=DIM, stride_s=STRIDE)
    for address in ("tcp://nowhere", "rtsp://camera/1", str(tmp_path / "none.npy"), "tcp://127.0.0.1:99999"):
        with pytest.raises(InputError):
            open_source(address, dim=DIM, stride_s=STRIDE)
    with pytest.raises(InputError, match=r"contains no \.npy"):
        open_source(str(Path(tmp_path)), dim=DIM, stride_s=STRIDE)
    with pytest.raises(InputError, match="idle_s"):
        open_source("-", dim=DIM, stride_s=STRIDE, idle_s=-1.0)


@pytest.mark.parametrize(
    ("header", "code"),
    [
        (encode_header(dim=7, stride_s=STRIDE), "features-dimension"),
        (encode_header(dim=DIM, stride_s=0.2), "features-stride"),
    ],
)
def test_a_header_that_does_not_fit_the_bundle(tmp_path, header, code):
    (tmp_path / "a.bytes").write_bytes(header + encode_end())
    _, chunks, _, fault = drain(tmp_path / "a.bytes")
    assert fault is not None
    assert (fault.code, chunks) == (code, [])


@pytest.mark.parametrize("code", [errno.EMFILE, errno.ESTALE, errno.EIO])
def test_what_cannot_be_read_for_a_moment_is_read_again(tmp_path, monkeypatch, caplog, code):
    """No descriptors left, a network drive that is away: nothing is lost, and the source says why nothing comes."""
    from punctum.runtime.sources import items as _items
    from punctum.runtime.sources.npy import RowLayout

    monkeypatch.setattr(_items, "POLL_S", 0.001)
    for i in range(3):
        np.save(tmp_path / chunk_name(i), rows(4, i))
    real_list, real_open, real_read = Path.iterdir, Path.open, RowLayout.read

    def sometimes(work):
        tries = itertools.count(1)

        def attempt(*arguments, **options):
            if next(tries) % 3:
                raise OSError(code, os.strerror(code))
            return work(*arguments, **options)

        return attempt

    folder = open_source(str(tmp_path), dim=DIM, stride_s=STRIDE)
    file = open_source(str(tmp_path / chunk_name(0)), dim=DIM, stride_s=STRIDE)
    troubles, found = set(), []
    with monkeypatch.context() as patched:
        patched.setattr(Path, "iterdir", sometimes(real_list))
        patched.setattr(Path, "open", sometimes(real_open))
        patched.setattr(RowLayout, "read", sometimes(real_read))
        for source in (folder, file):
            items = []
            for item in source.items():
                troubles.add(source.trouble)
                items.append(item)
            source.close()
            found.append(items)
    for items, wanted in zip(found, ([rows(4, i) for i in range(3)], [rows(4, 0)]), strict=True):
        assert not any(isinstance(item, Bad) for item in items)
        chunks = [item for item in items if isinstance(item, Chunk)]
        np.testing.assert_array_equal(joined(chunks), np.concatenate(wanted))
    assert any(os.strerror(code) in trouble for trouble in troubles)
    assert "retrying" in caplog.text
    monkeypatch.setattr(_items, "RETRY_S", 0.01)

    def never(path):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(Path, "iterdir", never)
    lost = ChunkFolder(tmp_path, dim=DIM, stride_s=STRIDE, follow=True)
    with pytest.raises(SourceLostError, match=os.strerror(code)):
        list(lost.items())


HEADS = {
    "sound.wav": (b"RIFF\x24\0\0\0WAVEfmt ", "an audio file"),
    "sound.mp3": (b"ID3\x04" + bytes(20), "an audio file"),
    "cover.jpg": (b"\xff\xd8\xff\xe0" + bytes(20), "a picture"),
    "cover.webp": (b"RIFF\x24\0\0\0WEBPVP8 ", "a picture"),
    "features.h5": (b"\x89HDF\r\n\x1a\n" + bytes(20), "an HDF5 or MATLAB file"),
    "notes.json": (b'{"a": 1}', "JSON"),
}


@pytest.mark.parametrize("name", HEADS)
def test_a_file_of_another_kind_is_called_what_it_is(tmp_path, name):
    from punctum.runtime.features.features import load_features

    path = tmp_path / name
    path.write_bytes(HEADS[name][0])

    def stream():
        source = open_source(str(path), dim=4, stride_s=0.1)
        try:
            list(source.items())
        finally:
            source.close()

    for read in (lambda: load_features(path, stride_s=0.1), stream):
        with pytest.raises(InputError, match=f"is {HEADS[name][1]}, neither a video nor features") as caught:
            read()
        assert caught.value.code == "features-unreadable" and "numpy.save" not in str(caught.value)

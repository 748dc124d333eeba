"""The ring of packets under any order of events: bounded, consistent, and decodable from its first packet."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("av", reason="PyAV is not installed")

import av
from hypothesis import given, settings
from hypothesis import strategies as st
from punctum.runtime.site.media.cutting import Cut, cut, times_of
from punctum.runtime.site.media.parameters import as_extradata, parameters
from punctum.runtime.site.media.ring import Ring, Stored

from tests.helpers import video_corpus as corpus


@dataclass
class Packet:
    data: bytes
    pts: int | None
    is_keyframe: bool
    dts: int | None = None
    time_base: Fraction | None = Fraction(1, 1000)
    is_discard: bool = False
    stream: Any = field(default_factory=lambda: SimpleNamespace(index=0))

    def __bytes__(self) -> bytes:
        return self.data


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return corpus.encode(tmp_path_factory.mktemp("ring") / "a.mp4", 5)


steps = st.lists(
    st.one_of(
        st.tuples(
            st.just("packet"),
            st.booleans(),
            st.one_of(st.none(), st.integers(-(2**33), 2**33)),
            st.binary(max_size=300),
        ),
        st.tuples(st.just("place"), st.integers(0, 60), st.floats(-1e3, 1e6)),
        st.tuples(st.just("begin")),
        st.tuples(st.just("hold"), st.floats(0, 1e3)),
        st.tuples(st.just("release")),
    ),
    max_size=120,
)


@given(steps, st.floats(0.01, 100), st.integers(300, 20_000), st.floats(0, 100), st.floats(0, 100))
@settings(max_examples=40, deadline=None)
def test_any_order_of_events(
    source: Path, steps: list[Any], seconds: float, most: int, start: float, more: float
) -> None:
    ring = Ring(seconds, most / 1e6)
    with av.open(str(source)) as container:
        ring.begin(container, container.streams.video[0])
        for kind, *values in steps:
            if kind == "packet":
                key, pts, data = values
                ring.add(Packet(data, pts, key))
            elif kind == "place":
                ring.place(*values)
            elif kind == "begin":
                ring.begin(container, container.streams.video[0])
            elif kind == "hold":
                ring.hold("owner", values[0])
            else:
                ring.release("owner")
            sections = ring.sections()
            assert ring.bytes == sum(len(p.data) + 250 for _, packets, _ in sections for p in packets) <= most
            for _, packets, _ in sections:
                assert not packets or packets[0].key
    part = cut(ring, start, start + more)
    if isinstance(part, Cut):
        assert part.packets[0].key and part.ticks[0] == 0 and min(part.ticks) == 0
        assert len(set(part.ticks)) == len(part.ticks)
        assert part.end_s > part.start_s
    else:
        assert part


def test_packets_that_were_not_decoded_lie_between_the_others() -> None:
    packets = [Stored(b"", k == 0, k / 10, None if k in (0, 3, 7) else 100 + k / 10) for k in range(8)]
    assert times_of(packets) == pytest.approx([100 + k / 10 for k in range(8)])
    assert times_of([Stored(b"", True, None), Stored(b"", False, 1.0)]) == [None, None]
    # The clock of the source jumped between the second and the third.
    jumped = [
        Stored(b"", True, 5.0, 0.0),
        Stored(b"", False, 5.1, 0.1),
        Stored(b"", False, 900.0, 0.2),
        Stored(b"", False, 900.1),
    ]
    assert times_of(jumped)[3] == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("codec", "form"),
    [
        ("libx264", "mpegts"),
        ("libx264", "mp4"),
        ("libx265", "mpegts"),
        ("libx265", "mp4"),
        ("libvpx-vp9", "webm"),
        ("libvpx", "webm"),
        ("mjpeg", "avi"),
        ("libsvtav1", "mp4"),
    ],
)
def test_parameters_differ_with_the_size_and_only_with_it(codec: str, form: str, tmp_path: Path) -> None:
    if codec not in av.codecs_available:
        pytest.skip(f"this PyAV has no {codec}")
    options = {"x265-params": "log-level=none:repeat-headers=1"} if codec == "libx265" else {}
    found: list[set[tuple[bytes, ...]]] = []
    for size in ((96, 128), (192, 128)):
        path = corpus.encode(
            tmp_path / f"{size[0]}.{form}",
            21,
            size=size,
            codec=codec,
            form=form,
            pixels="yuvj420p" if codec == "mjpeg" else "yuv420p",
            codec_options=options,
        )
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            name, extra = stream.codec_context.codec.canonical_name, stream.codec_context.extradata or b""
            found.append(
                {parameters(name, extra, bytes(p)) for p in container.demux(stream) if p.is_keyframe and p.size}
            )
    small, large = found
    assert len(small) == len(large) == 1
    if small != {()} or form != "mp4":  # in MP4 they are in the header only
        assert small.isdisjoint(large)
    if codec == "libx264" and form == "mpegts":
        assert as_extradata("h264", next(iter(small))).startswith(b"\0\0\0\1")  # type: ignore[union-attr]


@given(
    st.sampled_from(["h264", "hevc", "av1", "vp9", "vp8", "mjpeg", "theora"]),
    st.binary(max_size=200),
    st.binary(max_size=40),
)
def test_parameters_of_any_bytes(codec: str, data: bytes, extradata: bytes) -> None:
    assert isinstance(parameters(codec, extradata, data), tuple)


def test_a_packet_that_was_cut_off_is_in_no_clip(source: Path, tmp_path: Path) -> None:
    """The last one of a connection that ended in the middle of it; what was complete before it stays."""
    ring = Ring(60.0, 10.0)
    tap = ring.tap()
    with av.open(str(source)) as container:
        stream = container.streams.video[0]
        tap.begin(container, stream)
        packets = [packet for packet in container.demux(stream) if packet.size]
        for k, packet in enumerate(packets):
            tap.place(tap.packet(packet), k / 25.0)
    before, size = ring.bytes, len(ring.sections()[0][1])
    damaged = Packet(bytes(packets[-1])[:20], 10_000, is_keyframe=False)
    number = tap.packet(damaged)
    assert len(ring.sections()[0][1]) == size + 1
    tap.reject(number)
    assert ring.bytes == before and len(ring.sections()[0][1]) == size
    tap.reject(number)  # told twice
    tap.reject(1)  # decoded, and placed
    assert len(ring.sections()[0][1]) == size

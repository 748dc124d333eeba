"""The reason of a gap distinguishes packet loss, an absent camera, a stopped service and overflow."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from punctum.runtime import Bundle, Localizer
from punctum.runtime.errors import InputError
from punctum.runtime.site.camera.feed import Feed
from punctum.runtime.site.config.models import CameraConfig
from punctum.runtime.site.gap_reasons import reason_of
from punctum.runtime.site.supervisor.camera_unit import CameraUnit
from punctum.runtime.site.supervisor.route import Route
from punctum.runtime.sources.items import Bad, Chunk
from punctum.runtime.sources.snippets import Break, Frame, SnippetBuilder, VideoStats
from punctum.runtime.synthetic.sensors import make_sequence

from tests.helpers import backbones
from tests.runtime.site.test_engine_camera import ASSETS, Host, gaps


@pytest.fixture(scope="module")
def localizer() -> Localizer:
    return Localizer(Bundle.load(ASSETS / "demo"))


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    return np.asarray(make_sequence(7, seconds=10.0).features, np.float32)


class Channel:
    def __init__(self) -> None:
        self.sent: list[dict] = []

    def send(self, header: dict, payload: bytes = b"") -> None:
        self.sent.append(header)


def feed() -> tuple[Feed, Channel]:
    channel = Channel()
    return Feed("f", channel, 0.1, False, timed=True, stop=threading.Event()), channel  # type: ignore[arg-type]


def chunk(gap: str = "", lost: tuple = ()) -> Chunk:
    return Chunk(np.zeros((2, 4), np.float32), None, "here", {}, 0.0, lost, gap)


@pytest.mark.parametrize(
    ("video", "expected"),
    [
        ("reconnected", "camera-absent"),
        ("stall", "camera-absent"),
        ("stamps-jumped", "frames-lost"),
        ("skipped", "frames-lost"),
        ("overflow", "overflow"),
        ("", None),
    ],
)
def test_the_process_says_why(video: str, expected: str | None) -> None:
    one, channel = feed()
    one.chunk(chunk(), 0.0, None)
    one.chunk(chunk(video), 5.0, None)
    one.chunk(chunk(), None, None)
    assert [message["reason"] for message in channel.sent] == [None, expected, None]


def test_features_that_cannot_be_read() -> None:
    one, channel = feed()
    one.bad(Bad(InputError("features-nan", "not a number"), "here"), None)
    one.chunk(chunk(), None, None)
    one.chunk(chunk(), None, None)
    assert [message.get("reason") for message in channel.sent] == ["unreadable", "unreadable", None]


def test_a_section_of_video_says_why_it_begins_anew() -> None:
    pytest.importorskip("onnx", reason="the backbone of the tests is made with onnx")
    from punctum.runtime.backbone.extractor import Extractor

    backbone = backbones.backbone()
    plane = backbone.preprocessor()(backbones.images(1)[0], 1.0)
    builder = SnippetBuilder(
        Extractor(backbone, batch=1), backbone.spec, VideoStats(), name="v", start_s=0.0, replayable=False
    )
    found: list[Chunk] = []
    for index in range(12):
        found += builder.add(Frame(plane, index, index / 10, 0))
    found += builder.add(Break(5.0, 3, "stall"))
    for index in range(12):
        found += builder.add(Frame(plane, index, 5.0 + index / 10, 0))
    for index in range(20, 32):
        found += builder.add(Frame(plane, index, 5.0 + index / 10, 0))
    assert [one.gap for one in found if one.at is not None] == ["", "stall", "skipped"]
    assert not any(one.gap for one in found if one.at is None)


def test_the_engine_declares_the_reason_of_the_chunk(localizer: Localizer, rows: np.ndarray, tmp_path: Path) -> None:
    host = Host(localizer, tmp_path)
    stride = localizer.plan.stride_s
    at = 0.0
    for seq, reason in enumerate((None, "frames-lost", "overflow", None, "made up")):
        host.chunk(seq, rows[:10], at, reason=reason)
        at += 20 * stride
    host.run()
    assert [gap["reason"] for gap in gaps(host)] == ["frames-lost", "overflow", "missing", "missing"]


@pytest.mark.parametrize("snapshot", [False, True])
def test_the_engine_declares_why_the_source_began_again(
    localizer: Localizer, rows: np.ndarray, tmp_path: Path, snapshot: bool
) -> None:
    """Also if the state is stored between the beginning and the first features."""
    host = Host(localizer, tmp_path)
    stride = localizer.plan.stride_s
    begin = {"type": "begin", "feed": "f", "start_s": 0.0, "restart": False, "replayable": False}
    host.camera.receive({**begin, "reason": "service-down"}, b"")
    host.chunk(0, rows[:10], 0.0)
    host.camera.receive({**begin, "start_s": 30 * stride, "reason": "camera-absent"}, b"")
    host.run()
    if snapshot:
        host.camera.maintain(host.seq, final=True)
        host.camera.release()
        host.begin()
    host.chunk(1, rows[10:20], 30 * stride)
    host.chunk(2, rows[20:30], 60 * stride)
    host.run()
    assert [gap["reason"] for gap in gaps(host)] == ["camera-absent", "missing"]


def test_the_supervisor_says_why_a_process_begins() -> None:
    sent: list[dict] = []
    unit = CameraUnit("door", CameraConfig(source="rtsp://127.0.0.1/door", bundles=("actions",)), lambda *_: None)
    route = Route("door", "f", 0.1, None, lambda header, payload: sent.append(header), lambda seq: None)
    route.opened(None, None)
    unit.routes["actions"] = route

    def process(*, delivers: bool, code: str) -> None:
        unit.begins_with()
        unit.begin({"feed": "f", "start_s": 0.0, "restart": False})
        if delivers:
            unit.chunk({"type": "chunk", "feed": "f", "seq": 0, "at": 0.0, "rows": 1}, b"")
            route.taken(0)
        unit.ended(code)

    process(delivers=False, code="video-refused")  # after a start of the service
    process(delivers=True, code="video-lost")  # it was away when the service started
    process(delivers=True, code="camera-memory")
    process(delivers=False, code="video-refused")
    process(delivers=True, code="camera-ended")
    process(delivers=True, code="")
    unit.begin({"feed": "f", "start_s": 0.0, "restart": True})  # a sender has connected again
    reasons = [header["reason"] for header in sent if header["type"] == "begin"]
    assert reasons == [
        "service-down",
        "service-down",
        "camera-absent",
        "process-restarted",
        "process-restarted",
        "camera-absent",
        "camera-absent",
    ]


def test_what_a_route_drops_is_overflow() -> None:
    sent: list[dict] = []
    route = Route("door", "f", 0.1, 4, lambda header, payload: sent.append(header), lambda seq: None)
    for seq in range(5):
        route.chunk({"type": "chunk", "seq": seq, "at": 0.2 * seq, "rows": 2}, b"")
    route.opened(None, None)
    assert [(header["seq"], header.get("reason")) for header in sent] == [(3, "overflow"), (4, None)]


def test_a_chunk_dropped_by_itself_marks_the_next() -> None:
    sent: list[dict] = []
    route = Route("door", "f", 0.1, 1, lambda header, payload: sent.append(header), lambda seq: None)
    route.chunk({"type": "chunk", "seq": 0, "at": 0.0, "rows": 2}, b"")
    route.chunk({"type": "chunk", "seq": 1, "at": 0.2, "rows": 1}, b"")
    route.opened(None, None)
    assert [(header["seq"], header.get("reason")) for header in sent] == [(1, "overflow")]


def test_anything_else_is_missing() -> None:
    assert reason_of("the source was lost") == reason_of(None) == reason_of(3) == "missing"

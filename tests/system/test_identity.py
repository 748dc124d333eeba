"""Event ids and times of day on the command line: which runs give which, and what is refused."""

from __future__ import annotations

import json
import socket
import threading
import time
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from punctum.runtime.cli import invoke

pytest.importorskip("onnxruntime", reason="running a bundle needs onnxruntime")
from punctum.runtime.events.time_of_day import parse_utc
from punctum.runtime.sources.framing import encode_end, encode_header, encode_record
from punctum.runtime.synthetic.sensors import CHANNELS, STRIDE_S, make_sequence

BUNDLE = str(resources.files("punctum.runtime") / "assets" / "demo")
ROWS = make_sequence(99, seconds=20).features


@pytest.fixture
def file(tmp_path) -> Path:
    np.save(tmp_path / "x.npy", ROWS)
    return tmp_path / "x.npy"


def run(capsys, *arguments: object) -> list[dict]:
    code = invoke(["run", BUNDLE, *map(str, arguments)])
    out, err = capsys.readouterr()
    assert code == 0, err
    return [json.loads(line) for line in out.splitlines()]


def refused(capsys, *arguments: object) -> str:
    code = invoke(["run", BUNDLE, *map(str, arguments)])
    out, err = capsys.readouterr()
    assert (code, out) == (2, "")
    assert "Traceback" not in err
    return " ".join(err.split())


def ids(events: list[dict]) -> list[str]:
    return [event["event"] for event in events]


def test_a_recording_gives_the_same_ids_each_time_and_others_when_asked(file, capsys):
    plain = run(capsys, file)
    assert plain == run(capsys, file)
    assert ids(plain) == ids(run(capsys, file, "--stream")) == ids(run(capsys, file, "--stream", "--run-id", "none"))
    named = run(capsys, file, "--run-id", "night-1")
    assert named == run(capsys, file, "--run-id", "night-1")
    assert all(i.startswith("x/night-1/") for i in ids(named))
    assert ids(named) == ids(run(capsys, file, "--stream", "--run-id", "night-1"))
    fresh = [ids(run(capsys, file, "--stream", "--run-id", "new")) for _ in range(2)]
    assert not set(fresh[0]) & set(fresh[1])
    for bad in ("a/b", "ü", "", "x" * 65):
        assert "run id" in refused(capsys, file, "--run-id", bad)


def test_a_live_source_gives_new_ids_with_every_run(tmp_path):
    def once(*more: str) -> list[dict]:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]

        def send() -> None:
            for _ in range(200):
                try:
                    link = socket.create_connection(("127.0.0.1", port))
                    break
                except OSError:
                    time.sleep(0.1)
            with link:
                link.sendall(encode_header(dim=CHANNELS, stride_s=STRIDE_S, name="cam"))
                for at in range(0, len(ROWS), 50):
                    link.sendall(encode_record(ROWS[at : at + 50]))
                    time.sleep(0.02)
                link.sendall(encode_end())

        sender = threading.Thread(target=send, daemon=True)
        sender.start()
        out = tmp_path / f"{time.monotonic_ns()}.jsonl"
        assert invoke(["run", BUNDLE, f"tcp://127.0.0.1:{port}", "--stream", "--out", str(out), *more]) == 0
        sender.join(timeout=30)
        return [json.loads(line) for line in out.read_text().splitlines()]

    first, second, plain = once(), once(), once("--run-id", "none")
    assert len(first) == len(second) == len(plain) > 0
    assert not set(ids(first)) & set(ids(second))
    assert [i.split("/", 2)[2] for i in ids(first)] == [i.split("/", 1)[1] for i in ids(plain)]


def test_a_run_that_is_resumed_keeps_its_ids(file, tmp_path, capsys):
    out, snapshot = tmp_path / "e.jsonl", tmp_path / "s"
    options = ["--stream", "--max-delay", "1", "--out", str(out), "--snapshot", str(snapshot)]
    assert invoke(["run", BUNDLE, str(file), *options, "--run-id", "new"]) == 0
    first = out.read_bytes()
    assert invoke(["run", BUNDLE, str(file), *options, "--run-id", "new"]) == 0  # goes on from before the flush
    assert out.read_bytes() == first
    capsys.readouterr()
    assert "run id" in refused(capsys, file, *options, "--run-id", "other")


def test_a_recording_may_say_when_it_began(file, capsys):
    dated = run(capsys, file, "--start-utc", "2026-05-01T12:00:00+02:00")
    begun = datetime(2026, 5, 1, 10, tzinfo=UTC).timestamp()
    assert dated
    for event in dated:
        assert abs(parse_utc(event["start_utc"]) - begun - event["start"]) < 0.001
        assert abs(parse_utc(event["end_utc"]) - begun - event["end"]) < 0.001
    assert run(capsys, file, "--stream", "--start-utc", "2026-05-01T10:00:00Z") == dated
    assert all(e["start_utc"] is None and e["end_utc"] is None for e in run(capsys, file))


def test_starts_without_effect_or_sense_are_refused(file, tmp_path, capsys):
    assert "offset" in refused(capsys, file, "--start-utc", "2026-05-01T10:00:00")
    assert "not a video" in refused(capsys, file, "--start-utc", "creation-time")
    for option in ("--run-id", "--start-utc"):
        assert "no effect" in refused(capsys, file, "--format", "activitynet", option, "2026-05-01T10:00:00Z")
    np.save(tmp_path / "y.npy", ROWS)
    assert "2 recordings" in refused(capsys, tmp_path, "--start-utc", "2026-05-01T10:00:00Z")
    assert "live" in refused(capsys, "tcp://127.0.0.1:0", "--stream", "--start-utc", "2026-05-01T10:00:00Z")


def test_a_container_may_say_when_it_was_recorded(tmp_path):
    av = pytest.importorskip("av", reason="videos need PyAV")
    from punctum.runtime.cli._identity import start_of
    from punctum.runtime.errors import InputError

    for name, tags in (("dated.mp4", {"creation_time": "2026-05-01T10:00:00.000000Z"}), ("plain.mp4", {})):
        with av.open(str(tmp_path / name), "w") as out:
            out.metadata.update(tags)
            stream = out.add_stream("mpeg4", rate=10)
            stream.width = stream.height = 64
            for _ in range(5):
                frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
                out.mux(stream.encode(frame))
            out.mux(stream.encode())
    assert start_of("creation-time", str(tmp_path / "dated.mp4")) == datetime(2026, 5, 1, 10, tzinfo=UTC).timestamp()
    with pytest.raises(InputError) as error:
        start_of("creation-time", str(tmp_path / "plain.mp4"))
    assert error.value.code == "start-utc"

"""The loop of an engine process over a real channel, with an engine that fails."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
from punctum.runtime import Bundle, Localizer
from punctum.runtime.events.event import Event
from punctum.runtime.site.engine.process import EngineProcess
from punctum.runtime.site.engine.start import EngineStart
from punctum.runtime.site.wire import Channel
from punctum.runtime.synthetic.sensors import make_sequence

DEMO = str(Path(__file__).resolve().parents[3] / "runtime" / "assets" / "demo")


class Failing:
    """An engine that fails while `broken` is set."""

    def __init__(self, engine) -> None:
        self._engine, self.broken = engine, False

    def __getattr__(self, name: str):
        found = getattr(self._engine, name)
        if not callable(found):
            return found

        def call(*args, **kwargs):
            if self.broken:
                raise RuntimeError("the device is gone")
            return found(*args, **kwargs)

        return call


class Running:
    def __init__(self, state: Path, *, broken: bool = False) -> None:
        bundle = Bundle.load(DEMO)
        plain = Localizer(bundle)
        self.engine = Failing(plain.backend)
        self.engine.broken = broken
        self.channel, theirs = Channel.pair()
        start = EngineStart(name="b", bundle_path=DEMO, state_dir=str(state), snapshot_every_s=60.0)
        process = EngineProcess(Channel(theirs), start, bundle, plain.with_backend(self.engine))
        self.code: list[int] = []
        self.thread = threading.Thread(target=lambda: self.code.append(process.run()), daemon=True)
        self.thread.start()
        self.said: list[dict] = []
        self.channel.send({"type": "open", "camera": "cam", "stream": "cam", "run_id": "r", "min_score": 0.0})

    def chunk(self, seq: int, rows: np.ndarray, at: float, **more) -> None:
        header = {"type": "chunk", "camera": "cam", "seq": seq, "at": at, "rows": len(rows), "dim": rows.shape[1]}
        self.channel.send({**header, "lost": [], "position": {"row": seq}, **more}, rows.tobytes())

    def until(self, kind: str, count: int = 1) -> dict:
        while len([one for one in self.said if one["type"] == kind]) < count:
            received = self.channel.receive(20)
            assert received is not None, self.said[-3:]
            self.said.append(received[0])
            if received[0]["type"] == "events":
                self.channel.send({"type": "committed", "seq": received[0]["seq"]})
        return [one for one in self.said if one["type"] == kind][-1]

    def events(self) -> list[str]:
        return [line for one in self.said if one["type"] == "events" for line in one["reports"]]

    def close(self) -> None:
        self.channel.send({"type": "stop", "flush": False})
        self.thread.join(20)
        self.channel.close()
        assert self.code == [0]


def test_an_engine_that_serves_nobody_ends_and_loses_nothing(tmp_path: Path) -> None:
    rows = np.asarray(make_sequence(7, seconds=20.0).features, np.float32)
    first = Running(tmp_path)
    first.chunk(0, rows[:100], 0.0)
    first.until("taken")
    first.engine.broken = True
    first.chunk(1, rows[100:], 10.0)
    assert first.until("failed")["camera"] is None
    first.thread.join(10)
    assert first.code == [1] and (tmp_path / "failures").read_text() == "1"
    again = Running(tmp_path)
    now = round(again.until("opened")["now_s"] / 0.1)  # what was not taken is sent again
    again.chunk(2, rows[now:], now * 0.1)
    again.channel.send({"type": "close", "camera": "cam"})
    again.until("closed")
    again.close()
    expected = Localizer(Bundle.load(DEMO)).localize(rows, stream="cam", run_id="r")
    assert {Event.from_json(line).id for line in first.events() + again.events()} == {event.id for event in expected}
    assert not (tmp_path / "failures").exists()


def test_what_fails_in_every_process_is_given_up(tmp_path: Path) -> None:
    """A chunk that the engine cannot process does not stop the camera forever."""
    rows = np.asarray(make_sequence(7, seconds=20.0).features, np.float32)
    tmp_path.joinpath("failures").write_text("3")
    run = Running(tmp_path, broken=True)
    run.chunk(0, rows[:100], 0.0)
    failed = run.until("failed")
    assert failed["camera"] == "cam"
    run.engine.broken = False
    run.chunk(1, rows[100:], 10.0)
    run.channel.send({"type": "close", "camera": "cam"})
    run.until("closed")
    run.close()
    assert run.events() and all("cam/r.1/" in line for line in run.events())


def test_messages_that_cannot_be_used(tmp_path: Path) -> None:
    run = Running(tmp_path)
    run.until("opened")
    run.channel.send({"type": "open", "camera": "../up"})
    assert run.until("failed")["code"] == "site-message"
    run.channel.send({"type": "open", "camera": "other", "labels": ["none"]})
    assert run.until("failed", 2)["code"] == "label-unknown"
    run.channel.send({"type": "open", "camera": "other", "stream": "cam"})
    assert run.until("failed", 3)["code"] == "stream-open"
    run.channel.send({"type": "open", "camera": "other", "min_score": {"lift": 2.0}})
    assert run.until("failed", 4)["code"] == "min-score"
    run.channel.send({"type": "nonsense"})
    run.channel.send({"type": "chunk", "camera": "nobody", "seq": 9})
    assert run.until("taken")["seq"] == 9
    run.channel.send({"type": "close", "camera": "nobody"})
    run.until("closed")
    run.close()


def test_a_camera_that_is_closed_and_opened_again(tmp_path: Path) -> None:
    rows = np.asarray(make_sequence(7, seconds=10.0).features, np.float32)
    run = Running(tmp_path)
    run.until("opened")
    run.chunk(0, rows, 0.0)
    run.channel.send({"type": "close", "camera": "cam"})
    run.channel.send({"type": "open", "camera": "cam", "stream": "cam", "run_id": "s", "min_score": 0.0})
    opened = run.until("opened", 2)
    assert (opened["run_id"], opened["now_s"], opened["restored"]) == ("s", None, False)
    run.chunk(1, rows, 0.0)
    run.until("taken", 2)
    run.close()

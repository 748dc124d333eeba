"""Live cameras whose sessions are closed while they are away declare a gap when they come back."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from punctum.runtime.errors import PunctumError
from punctum.runtime.site.config.load import load_site
from punctum.runtime.site.store.store import Store
from punctum.runtime.site.supervisor import absence, camera_messages, engine_messages
from punctum.runtime.site.supervisor.lifecycle import pause
from punctum.runtime.site.supervisor.reload import reload
from punctum.runtime.site.supervisor.route import Route
from punctum.runtime.site.supervisor.supervisor import Supervisor

yaml = pytest.importorskip("yaml", reason="the configuration needs PyYAML")
STRIDE_S = 0.1


class Running:
    """A supervisor without processes: the test says what they would."""

    def __init__(self, folder: Path, **camera) -> None:
        self.folder, self.store = folder, Store.open(folder / "state")
        self.camera = {"source": "rtsp://camera/1", "bundles": ["demo"]} | camera
        self.seq = 0
        self.start()

    def load(self):
        config = {"bundles": {"demo": {"path": "demo"}, "other": {"path": "other"}}}
        config["cameras"] = {} if self.camera is None else {"hall": self.camera}
        path = self.folder / "site.yaml"
        path.write_text(yaml.safe_dump(config))
        return load_site(path)

    def start(self) -> None:
        loaded = self.load()
        self.supervisor = Supervisor(loaded, self.store, self.folder / "state")
        self.units = self.supervisor.units
        self.units.now = lambda: 1000.0
        for name, camera in loaded.config.cameras.items():
            self.supervisor.add_camera(name, camera)

    def stop(self) -> None:
        self.supervisor.stop(timeout_s=0.1)

    @property
    def unit(self):
        return self.units.cameras["hall"]

    def opened(self, engine: str = "demo", now_s: float | None = None) -> Route:
        """An engine opens the session of the camera."""
        route = Route("hall", "feed", STRIDE_S, None, lambda header, payload: None, lambda seq: None)
        self.unit.routes[engine] = route
        route.opened(now_s, None)
        return route

    def features(self, at: float, seconds: float, *, late_s: float = 0.0) -> None:
        """Features come, and the engine stores them."""
        self.unit.child = child = object()
        end = at + seconds
        header = {"type": "chunk", "feed": "feed", "seq": self.seq, "at": at, "rows": round(seconds / STRIDE_S)}
        self.seq += 1
        camera_messages.handle(self.units, self.unit, child, header | {"arrival_unix": 1000.0 + end + late_s}, b"")
        for route in self.unit.routes.values():
            route.taken(header["seq"])
        self.unit.child = None

    def change(self, **camera) -> None:
        self.camera = {**self.camera, **camera}
        reload(self.supervisor, self.load(), {})

    def gaps(self) -> list[tuple[float, float, str]]:
        done: list[int] = []
        self.units.writer.change(lambda store: done.append(1))
        limit = time.monotonic() + 30
        while not done:
            assert time.monotonic() < limit
            time.sleep(0.01)
        return [(round(g.start_s, 3), round(g.end_s, 3), g.reason) for g in reversed(self.store.gaps(-1e9, 1e12).items)]


@pytest.fixture
def running(tmp_path):
    one = Running(tmp_path)
    one.opened()
    one.features(0.0, 10.0)
    yield one
    one.stop()
    one.store.close()


def back(running: Running, at: float) -> None:
    running.opened()
    running.features(at, 1.0)
    running.features(at + 1, 1.0)


@pytest.mark.parametrize(
    "change", [{"max_delay_s": 2.0}, {"bundles": ["other"]}, {"source": "rtsp://camera/2"}], ids=str
)
def test_a_change(running, change):
    running.change(**change)
    assert running.gaps() == []
    back(running, 16.0)
    assert running.gaps() == [(10.0, 16.0, "changed")]
    (gap,) = running.store.gaps(-1e9, 1e12).items
    assert (gap.start_unix, gap.end_unix, gap.snippets) == (pytest.approx(1010.0), pytest.approx(1016.0), 60)
    assert running.unit.lost["snippets missing in gaps"] == 60


def test_disabled_and_enabled(running):
    running.change(enabled=False)
    running.change(max_delay_s=2.0)  # meanwhile
    running.change(enabled=True)
    back(running, 100.0)
    assert running.gaps() == [(10.0, 100.0, "disabled")]


def test_schedule(running):
    pause(running.units, running.unit, "scheduled")
    back(running, 50.0)
    pause(running.units, running.unit, "scheduled")
    back(running, 90.0)
    assert running.gaps() == [(10.0, 50.0, "schedule"), (52.0, 90.0, "schedule")]


def test_removed_and_added(running):
    camera, running.camera = running.camera, None
    reload(running.supervisor, running.load(), {})
    running.camera = camera
    reload(running.supervisor, running.load(), {})
    back(running, 30.0)
    assert running.gaps() == [(10.0, 30.0, "removed")]


@pytest.mark.parametrize("disabled", [False, True])
def test_a_restart_of_the_service_whose_sessions_do_not_go_on(running, disabled):
    if disabled:
        running.change(enabled=False)
    running.stop()
    running.camera = {**running.camera, "bundles": ["other"], "enabled": True}
    running.start()
    back(running, 40.0)
    assert running.gaps() == [(10.0, 40.0, "disabled" if disabled else "service-down")]


def test_a_session_that_goes_on_declares_it_alone(running):
    running.stop()
    running.start()
    running.opened(now_s=10.0)
    running.features(40.0, 1.0)
    assert running.gaps() == []


def test_after_a_kill_the_session_that_is_closed_says_how_far_it_came(running):
    """The source has changed while nobody could say so; the stored session ends before the new one begins."""
    running.gaps()
    running.camera = {**running.camera, "source": "rtsp://camera/2"}
    running.start()
    assert running.unit.fresh
    absence.closed(running.unit, {"why": "closed", "now_s": 10.0})
    back(running, 40.0)
    assert running.gaps() == [(10.0, 40.0, "changed")]


def test_the_engine_that_failed_is_replaced(running):
    running.unit.routes["demo"].lost_engine()
    running.opened("demo@2")
    absence.starts(running.unit)
    running.features(25.0, 1.0)
    assert running.gaps() == [(10.0, 25.0, "missing")]


def test_features_that_wait_are_not_missing(running):
    route = running.unit.routes["demo"]
    route.chunk({"type": "chunk", "seq": 99, "at": 10.0, "rows": 20}, b"")
    running.change(max_delay_s=2.0)
    back(running, 12.0)
    assert running.gaps() == []


def test_media_time_does_not_go_back_with_the_clock(running):
    running.change(max_delay_s=2.0)
    running.units.now = lambda: 500.0
    running.opened()
    running.units.engines["demo"] = running.supervisor.add_engine("demo", running.units.loaded.config.bundles["demo"])
    assert running.units.start_message(running.unit)["start_s"] == 10.0


def test_a_source_of_another_kind_has_another_clock(running):
    running.change(source="recordings", loop=False)
    back(running, 3.0)
    running.change(source="tcp://127.0.0.1:9")
    back(running, 900.0)
    assert running.gaps() == []


def test_the_time_for_opening_belongs_to_the_gap(running):
    running.change(max_delay_s=2.0)
    running.opened()
    running.features(16.0, 1.0, late_s=3.0)
    running.gaps()
    (gap,) = running.store.gaps(-1e9, 1e12).items
    assert (gap.start_unix, gap.end_unix) == (pytest.approx(1010.0), pytest.approx(1019.0))


def test_engines_say_how_far_a_closed_session_came(running):
    running.change(max_delay_s=2.0)
    engine = running.supervisor.add_engine("demo", running.units.loaded.config.bundles["demo"])
    engine.child = object()
    header = {"type": "closed", "camera": "hall", "why": "closed", "now_s": 12.5}
    engine_messages.handle(running.units, engine, engine.child, header)
    engine.child = None
    back(running, 16.0)
    assert running.gaps() == [(12.5, 16.0, "changed")]


def test_a_call_that_has_begun_is_waited_for(tmp_path):
    """What it does stays, so its caller must not be told that nothing was done."""
    with Store.open(tmp_path / "state") as store:
        (tmp_path / "site.yaml").write_text("bundles: {demo: {path: demo}}\n")
        supervisor = Supervisor(load_site(tmp_path / "site.yaml"), store, tmp_path / "state")
        supervisor.start()
        try:
            begun, release = threading.Event(), threading.Event()

            def slow() -> str:
                begun.set()
                release.wait(30)
                return "done"

            with ThreadPoolExecutor() as threads:
                first = threads.submit(supervisor.call, slow, 0.1)
                assert begun.wait(30)
                with pytest.raises(PunctumError, match="busy"):
                    supervisor.call(lambda: None, 0.3)
                release.set()
                assert first.result(30) == "done"
        finally:
            supervisor.stop(timeout_s=5.0)

"""A site and its configuration, without its processes."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from punctum.runtime import InputError
from punctum.runtime.site.config.load import site_of
from punctum.runtime.site.config.models import CameraConfig
from punctum.runtime.site.running import RunningSite
from punctum.runtime.site.store.store import Store
from punctum.runtime.site.view import View

from tests.helpers.site import event


@contextlib.contextmanager
def running(folder: Path, *sinks: str) -> Iterator[RunningSite]:
    config = {
        "bundles": {"a": {"path": "default"}},
        "cameras": {},
        "sinks": {name: {"type": "jsonl", "path": f"{name}.jsonl"} for name in sinks},
    }
    site = RunningSite(site_of(config, folder))
    try:
        yield site
    finally:
        site.close()


def test_an_output_that_was_removed_while_the_service_was_down_is_forgotten(tmp_path, caplog):
    with running(tmp_path, "kept", "gone") as site:
        state = site.loaded.state
        site.store.add("hall", "a", [event(0), event(1)], ["kept", "gone"], 1.0)
        site.store.set_sink_state("gone", {"cameras": ["hall"]})
        row, report = site.store.pending("gone", 1)[0]
        site.store.refuse("gone", row, report, "no", 1.0)
        for name in ("refused", "noted"):  # nothing waits for them
            site.store.set_sink_state(name, {"x": 1})
    with running(tmp_path, "kept"):
        assert "output gone is no longer configured; what waited for it is deleted: 1 report" in caplog.text
    with Store.open(state) as store:
        assert store.known_sinks() == ["kept"]
        assert store.waiting("gone") == (0, None) and store.refused("gone") == [] and store.sink_state("gone") == {}
        assert store.waiting("kept")[0] == 2


class OneSite:
    """The cameras of a site, which one request at a time may change."""

    def __init__(self, **cameras: CameraConfig) -> None:
        self.cameras = cameras
        self.lock = threading.Lock()
        self.before: Callable[[], None] = lambda: None
        units = SimpleNamespace(loaded=SimpleNamespace(config=self), cameras={})
        self.supervisor: Any = SimpleNamespace(units=units, call=lambda function: function())

    def change(self, change: Callable[[dict[str, CameraConfig]], dict[str, CameraConfig]]) -> None:
        self.before()  # another request comes first
        with self.lock:
            self.cameras = change(dict(self.cameras))


@pytest.fixture
def site() -> OneSite:
    return OneSite(hall=CameraConfig(source="rtsp://1", bundles=("a",)))


@pytest.fixture
def view(site: OneSite) -> View:
    made = View.__new__(View)
    made._site = site  # type: ignore[assignment]
    return made


def test_a_change_beside_enable_is_not_lost(site, view):
    other = CameraConfig(source="rtsp://2", bundles=("a",))
    site.before = lambda: site.cameras.update(hall=other)
    view.enable_camera("hall", False)
    assert site.cameras["hall"] == other.model_copy(update={"enabled": False})


@pytest.mark.parametrize("operation", ["enable", "delete", "restart"])
def test_a_camera_that_is_removed_meanwhile(site, view, operation):
    site.before = site.cameras.clear
    with pytest.raises(InputError) as caught:
        if operation == "enable":
            view.enable_camera("hall", True)
        elif operation == "delete":
            view.delete_camera("hall")
        else:
            view.restart_camera("hall")
    assert caught.value.code == "camera-unknown"
    assert operation == "restart" or site.cameras == {}

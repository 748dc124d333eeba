"""Every final event says what became of its clip and its picture."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from punctum.runtime.site.config.models import CameraConfig
from punctum.runtime.site.store.rows import MediaRow
from punctum.runtime.site.store.store import Store
from punctum.runtime.site.supervisor.camera_unit import CameraUnit
from punctum.runtime.site.supervisor.media_orders import MediaOrders
from punctum.runtime.site.supervisor.supervisor import Supervisor

from tests.helpers.site import event

yaml = pytest.importorskip("yaml", reason="the configuration needs PyYAML")


def started(folder: Path, store: Store) -> Supervisor:
    from punctum.runtime.site.config.load import load_site

    (folder / "site.yaml").write_text("bundles: {demo: {path: demo}}\n")
    supervisor = Supervisor(load_site(folder / "site.yaml"), store, folder / "state")
    supervisor.start()
    return supervisor


def test_after_a_start_no_final_event_waits_for_media_that_never_come(tmp_path: Path):
    """A kill, or the end of the service, has taken the orders along."""
    with Store.open(tmp_path / "state") as store:
        for n in range(3):
            store.add("hall", "demo", [event(n)], [], time.time())
        store.add("hall", "demo", [event(3, phase="open")], [], time.time())
        store.add_media("hall", event(1).id, "clip", "clip.mp4", 5, 1.0, 2.0)
        started(tmp_path, store).stop(timeout_s=5.0)
        for n in (0, 2):
            for kind in ("clip", "picture"):
                row = store.media("hall", event(n).id, kind)
                assert row is not None and row.path is None and "service ended" in row.why
        assert store.media("hall", event(1).id, "clip").path == "clip.mp4"
        assert "service ended" in store.media("hall", event(1).id, "picture").why
        assert store.media("hall", event(3).id, "clip") is None


def test_the_last_events_of_a_camera_that_was_removed(tmp_path: Path):
    with Store.open(tmp_path / "state") as store:
        supervisor = started(tmp_path, store)
        supervisor.units.write("gone", "demo", [event(7)], lambda: None)
        limit = time.monotonic() + 30
        while store.media("gone", event(7).id, "clip") is None:
            assert time.monotonic() < limit
            time.sleep(0.02)
        supervisor.stop(timeout_s=5.0)
        assert "removed" in store.media("gone", event(7).id, "picture").why


@pytest.mark.parametrize(("state", "word"), [("ended", "recording"), ("off", "disabled"), ("scheduled", "schedule")])
def test_the_reason_is_that_of_the_camera(tmp_path: Path, state: str, word: str):
    rows: list[MediaRow] = []
    orders = MediaOrders(rows.append, tmp_path, lambda kind: "")
    unit = CameraUnit("hall", CameraConfig(source="a.mp4", bundles=("demo",)), lambda child, header, payload: None)
    unit.set_state(state)  # type: ignore[arg-type]
    orders.order(unit, event(0))
    orders.tick({"hall": unit})
    orders.order(unit, event(1))
    orders.camera_ended("hall", unit)
    assert {row.kind for row in rows} == {"clip", "picture"}
    assert len(rows) == 4 and all(word in row.why for row in rows)

"""Run ids of recordings: a reading that has to be repeated after a loss gives its actions the ids that they had."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

pytest.importorskip("pydantic", reason="punctum serve needs pydantic")

from punctum.runtime.site.config.models import CameraConfig
from punctum.runtime.site.supervisor.camera_unit import CameraUnit
from punctum.runtime.site.supervisor.lifecycle import close_sessions
from punctum.runtime.site.supervisor.units import run_id_of


def unit_of(source: str) -> CameraUnit:
    return CameraUnit("door", CameraConfig(source=source, bundles=("actions",)), lambda *_: None)


def engine_of(bundle: str, bundle_id: str) -> SimpleNamespace:
    return SimpleNamespace(bundle=bundle, ready={"bundle_id": bundle_id})


def test_a_recording_keeps_itsrun_id_ofs_until_it_begins_again() -> None:
    unit, saved = unit_of("door.mp4"), []
    units = SimpleNamespace(save_camera=lambda unit: saved.append(unit.reading))
    first, other = engine_of("actions", "a-1.0.0-1"), engine_of("falls", "a-1.0.0-1")
    known = run_id_of(unit, first)
    assert len(known) == 8 and known == run_id_of(unit, first)
    assert len({known, run_id_of(unit, other), run_id_of(unit, engine_of("actions", "a-1.0.0-2"))}) == 3
    again = unit_of("door.mp4")
    assert run_id_of(again, first) != known
    again.reading = unit.reading  # after a start of the service
    assert run_id_of(again, first) == known
    close_sessions(units, unit)  # disabled, or removed: what was reported up to there is final
    assert saved == [unit.reading] and run_id_of(unit, first) != known
    unit.finished = True
    close_sessions(units, unit)
    assert len(saved) == 1


def test_every_session_of_a_live_camera_has_its_ownrun_id_of() -> None:
    unit, engine = unit_of("rtsp://127.0.0.1/door"), engine_of("actions", "a-1.0.0-1")
    assert run_id_of(unit, engine) != run_id_of(unit, engine)

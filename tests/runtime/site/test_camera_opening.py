"""A camera that opens slowly under load is left alone while it computes; one that hangs is ended, with one line."""

from __future__ import annotations

import logging
import os
import time
from datetime import datetime
from types import SimpleNamespace

import pytest
from punctum.runtime.site.config.models import BundleConfig, CameraConfig, Limits
from punctum.runtime.site.supervisor import camera_messages, lifecycle
from punctum.runtime.site.supervisor.camera_unit import OPEN_MOST_S, OPEN_S, CameraUnit
from punctum.runtime.site.supervisor.child import cpu_seconds
from punctum.runtime.site.supervisor.engine_unit import STUCK_S, EngineUnit


class Process:
    """A process that says nothing, and uses as much CPU time as the test says."""

    def __init__(self) -> None:
        self.started = self.beat = 1000.0
        self.cpu: float | None = 0.0
        self.killed, self.kills = False, 0

    def cpu_s(self) -> float | None:
        return self.cpu

    def kill(self) -> None:
        self.killed = True
        self.kills += 1


def opening(**limits: float) -> tuple[CameraUnit, Process]:
    config = CameraConfig(source="rtsp://127.0.0.1/door", bundles=("actions",), limits=Limits(**limits))
    unit, process = CameraUnit("door", config, lambda *_: None), Process()
    unit.child = process  # type: ignore[assignment]
    unit.set_state("opening")
    return unit, process


def faults(unit: CameraUnit, process: Process, seconds: float, cpu_per_s: float | None) -> list[tuple[float, str]]:
    """Look once a second, and note when something is wrong."""
    found = []
    for second in range(1, round(seconds) + 1):
        process.cpu = None if cpu_per_s is None else second * cpu_per_s
        if fault := unit.fault(process.started + second):
            found.append((float(second), fault))
    return found


def test_a_process_that_computes_is_left_alone_for_long_but_not_for_ever() -> None:
    unit, process = opening()
    found = faults(unit, process, OPEN_MOST_S + 2, 0.05)  # the machine has little time for it
    assert [second for second, _ in found] == [OPEN_MOST_S + 1, OPEN_MOST_S + 2]


@pytest.mark.parametrize("cpu_per_s", [0.0, 0.002, None])
def test_a_process_that_hangs_while_it_opens_is_ended(cpu_per_s: float | None) -> None:
    unit, process = opening()
    found = faults(unit, process, 200, cpu_per_s)
    assert OPEN_S < found[0][0] <= OPEN_S + 2
    assert found[0][1].endswith("while its state was opening")


def test_a_process_that_hangs_after_it_has_computed() -> None:
    unit, process = opening()
    assert not faults(unit, process, 300, 1.0)
    for second in range(1, 130):
        fault = unit.fault(process.started + 300.0 + second)
        assert bool(fault) == (second > OPEN_S), (second, fault)


def test_the_limit_of_the_configuration_counts_where_it_is_longer() -> None:
    unit, process = opening(stuck_s=300.0)
    assert faults(unit, process, 302, 0.0)[0][0] == 301.0
    unit, process = opening()
    unit.set_state("running")
    assert faults(unit, process, 62, 1.0)[0] == (61.0, "no sign of life for 61 s")


def test_a_failure_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    """Its exit may take seconds, and messages from before may still come."""
    caplog.set_level(logging.INFO)
    unit, process = opening()
    units = SimpleNamespace()
    local = datetime.now().astimezone()
    for second in range(118, 126):
        lifecycle._camera(units, unit, process.started + second, local)  # type: ignore[arg-type]
        header = {"type": "state", "state": "opening", "why": f"{second}", "code": None}
        if second > 121:
            camera_messages.handle(units, unit, process, header, b"")  # type: ignore[arg-type]
    lines = [one.getMessage() for one in caplog.records if "failed" in one.getMessage()]
    assert lines == ["camera door: failed (no sign of life for 121 s while its state was opening)"]
    assert process.kills == 1 and unit.state == "failed"


def test_a_failure_of_a_bundle_is_said_once(tmp_path) -> None:
    engine = EngineUnit("a", "a", BundleConfig(path="default"), "default", tmp_path, lambda *_: None)
    engine.child, engine.ready = Process(), {"bundle_id": "x"}  # type: ignore[assignment]
    assert engine.fault(1000.0 + STUCK_S + 1)
    engine.child.kill()
    assert not engine.fault(1000.0 + STUCK_S + 2)


def test_cpu_time_of_a_process() -> None:
    before = cpu_seconds(os.getpid())
    if before is None:
        pytest.skip("the system has no /proc")
    assert before == pytest.approx(time.process_time(), abs=1.0)
    assert cpu_seconds(2**22 + 1) is None

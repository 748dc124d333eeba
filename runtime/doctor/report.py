"""The result of an examination."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from ..machine.findings import Finding


@dataclass(frozen=True, slots=True)
class DeviceStatus:
    """Whether a device runs.

    Attributes:
        device: The device.
        runs: Whether it runs, or for a device that was not tried, whether no obstacle is known.
        tried: Whether an engine was opened and run on it.
        reason: What was observed.
    """

    device: str
    runs: bool
    tried: bool
    reason: str


@dataclass(frozen=True, slots=True)
class DoctorReport:
    """The whole examination.

    Attributes:
        requested: The device that was asked about.
        status: Its status; for "auto" that of the device that would be used.
        devices: The status of every kind of device.
        sections: Facts by section.
        findings: Problems and notes.
    """

    requested: str
    status: DeviceStatus
    devices: tuple[DeviceStatus, ...]
    sections: dict[str, dict[str, object]]
    findings: tuple[Finding, ...]

    @property
    def broken(self) -> tuple[Finding, ...]:
        """What is installed and does not work, whichever device is used."""
        return tuple(f for f in self.findings if f.level == "problem" and f.area == "Video")

    def to_record(self) -> dict[str, object]:
        """The report as data for JSON."""
        return {
            "schema": "punctum.doctor/1",
            "requested": self.requested,
            "runs": self.status.runs,
            "broken": [finding.text for finding in self.broken],
            "verdict": asdict(self.status),
            "devices": [asdict(status) for status in self.devices],
            "findings": [{**asdict(finding), "devices": list(finding.devices)} for finding in self.findings],
            "sections": self.sections,
        }

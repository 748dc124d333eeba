"""What an examination says: facts by section, and findings with what to do about them."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Level = Literal["note", "problem"]
KINDS = ("cpu", "cuda", "tensorrt", "ort-tensorrt")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing worth saying. area: section it belongs to. devices: kinds of device that cannot run because of it.
    fix: what to do."""

    level: Level
    area: str
    text: str
    fix: str = ""
    devices: tuple[str, ...] = ()

    def stops(self, device: str) -> bool:
        """Whether this keeps a kind of device from running."""
        return device in self.devices


@dataclass(slots=True)
class Facts:
    """Collects sections and findings."""

    sections: dict[str, dict[str, Any]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def say(self, section: str, **facts: Any) -> None:
        self.sections.setdefault(section, {}).update({k.replace("_", " "): v for k, v in facts.items()})

    def add(self, section: str, facts: dict[str, Any]) -> None:
        self.sections.setdefault(section, {}).update(facts)

    def note(self, area: str, text: str, fix: str = "") -> None:
        self.findings.append(Finding("note", area, text, fix))

    def problem(self, area: str, text: str, fix: str = "", *, devices: tuple[str, ...] = ()) -> None:
        self.findings.append(Finding("problem", area, text, fix, devices))

    def stopping(self, device: str) -> list[Finding]:
        return [finding for finding in self.findings if finding.stops(device)]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a device runs. tried: an engine was opened and run on it, so it is no guess."""

    device: str
    runs: bool
    tried: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Report:
    """The whole examination. requested: the device that the exit code speaks of."""

    requested: str
    verdict: Verdict
    devices: tuple[Verdict, ...]
    sections: dict[str, dict[str, Any]]
    findings: tuple[Finding, ...]

    @property
    def broken(self) -> tuple[Finding, ...]:
        """What is installed and does not work, whichever device is used."""
        return tuple(f for f in self.findings if f.level == "problem" and f.area == "Video")

    def to_record(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "schema": "punctum.doctor/1",
            "requested": self.requested,
            "runs": self.verdict.runs,
            "broken": [finding.text for finding in self.broken],
            "verdict": asdict(self.verdict),
            "devices": [asdict(verdict) for verdict in self.devices],
            "findings": [{**asdict(finding), "devices": list(finding.devices)} for finding in self.findings],
            "sections": self.sections,
        }

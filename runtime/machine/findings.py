"""What an examination collects: facts by section, and findings with what to do about them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Level = Literal["note", "problem"]
KINDS = ("cpu", "cuda", "tensorrt", "ort-tensorrt")


@dataclass(frozen=True, slots=True)
class Finding:
    """One observation.

    Attributes:
        level: "problem" or "note".
        area: The section it belongs to.
        text: What was observed.
        fix: What to do about it; may be empty.
        devices: Kinds of device that do not run because of it.
    """

    level: Level
    area: str
    text: str
    fix: str = ""
    devices: tuple[str, ...] = ()

    def blocks(self, device: str) -> bool:
        """Whether a kind of device does not run because of this."""
        return device in self.devices


@dataclass(slots=True)
class Facts:
    """Collects facts by section, and findings."""

    sections: dict[str, dict[str, object]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def record(self, section: str, **facts: object) -> None:
        """Add facts to a section. Underscores in their names become spaces."""
        self.add(section, {name.replace("_", " "): value for name, value in facts.items()})

    def add(self, section: str, facts: Mapping[str, object]) -> None:
        """Add facts to a section."""
        self.sections.setdefault(section, {}).update(facts)

    def note(self, area: str, text: str, fix: str = "") -> None:
        """Add a finding that prevents nothing from running."""
        self.findings.append(Finding("note", area, text, fix))

    def problem(self, area: str, text: str, fix: str = "", *, devices: tuple[str, ...] = ()) -> None:
        """Add a problem. devices: kinds of device that do not run because of it."""
        self.findings.append(Finding("problem", area, text, fix, devices))

    def blocking(self, device: str) -> list[Finding]:
        """Findings because of which a kind of device does not run."""
        return [finding for finding in self.findings if finding.blocks(device)]

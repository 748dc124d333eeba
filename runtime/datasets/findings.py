"""Findings of `punctum data check`."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from ..errors import PunctumError


@dataclass(frozen=True, slots=True)
class Finding:
    """One problem of a data set.

    Attributes:
        severity: "error" or "warning".
        code: Stable identifier; docs/reference/errors.md lists all of them.
        file: The file, or the name of a video.
        line: Line in the file, from 1; 0 if there is none.
        message: What is wrong.
        fix: What to do about it.
    """

    severity: Literal["error", "warning"]
    code: str
    file: str
    line: int
    message: str
    fix: str


def advice(error: PunctumError) -> str:
    """The fix of a finding that an error describes: its next step, and what is required or permitted."""
    expected = error.expected.rstrip(".")
    return f"{error.next_step} ({expected[0].lower()}{expected[1:]})" if expected else error.next_step


@dataclass(slots=True)
class CheckResult:
    """Problems of a data set, and its size.

    Attributes:
        findings: All problems, in the order in which they were found.
        summary: Facts about the data set, such as its number of classes, by name.
    """

    findings: list[Finding] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)

    @property
    def errors(self) -> list[Finding]:
        return [f for f in self.findings if f.severity == "error"]

    @property
    def warnings(self) -> list[Finding]:
        return [f for f in self.findings if f.severity == "warning"]

    def error(self, code: str, file: Path | str, message: str, fix: str, line: int = 0) -> None:
        self.findings.append(Finding("error", code, str(file), line, message, fix))

    def warn(self, code: str, file: Path | str, message: str, fix: str, line: int = 0) -> None:
        self.findings.append(Finding("warning", code, str(file), line, message, fix))

    def to_record(self) -> dict[str, Any]:
        """The result for JSON."""
        return {
            "summary": self.summary,
            "errors": len(self.errors),
            "warnings": len(self.warnings),
            "findings": [asdict(f) for f in self.findings],
        }

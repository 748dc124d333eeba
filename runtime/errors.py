"""Errors a user meets: what was given, what is allowed, what to do next."""

from __future__ import annotations


class PunctumError(Exception):
    """Something failed. `code` is stable and machine-readable; the command line exits with `exit_code`."""

    exit_code = 1

    def __init__(self, code: str, given: str, allowed: str = "", next_step: str = "") -> None:
        self.code, self.given, self.allowed, self.next_step = code, given, allowed, next_step
        parts = [given.rstrip(".") + "."]
        if allowed:
            parts.append(f"Allowed: {allowed.rstrip('.')}.")
        if next_step:
            parts.append(f"Next: {next_step.rstrip('.')}.")
        super().__init__(" ".join(parts))


class EngineError(PunctumError):
    """The engine raised, or returned what no graph of a bundle may return: wrong shapes, NaN, values outside 0..1."""


class InputError(PunctumError):
    """The input is at fault, not the program: exit code 2."""

    exit_code = 2


class SourceLostError(InputError):
    """A live source is absent, or was lost and did not come back: exit code 3. Starting again may help."""

    exit_code = 3


class MissingDependencyError(PunctumError):
    """An optional library is needed for what was asked."""

    exit_code = 2

    def __init__(self, library: str, extra: str, purpose: str) -> None:
        super().__init__(
            "missing-dependency",
            f"{purpose} needs {library}, which is not installed",
            f"any environment with {library}",
            f"pip install 'punctum[{extra}]'",
        )

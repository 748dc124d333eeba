"""Errors that a user sees: what is wrong, what is required or permitted, and what to do next.

Messages name the parameters of the Python function in backticks, such as `threads`. The command line replaces these by
the options of the command that runs, such as --threads.
"""

from __future__ import annotations

from typing import Self, TypeVar

E = TypeVar("E", bound="PunctumError")


class PunctumError(Exception):
    """An operation failed. The command line prints `error [code]: message` and exits with `exit_code`.

    Args:
        code: Stable identifier for programs; docs/reference/errors.md lists all of them.
        given: What is wrong, as a sentence. A final period is optional here and in the other texts.
        allowed: The permitted values, where a value is not one of them. Printed as "Allowed: ...".
        next_step: What to do about it, as an imperative. Printed as "Next: ...".
        required: What is missing, where something is. Printed as "Required: ...". Used instead of `allowed`.
    """

    exit_code = 1

    def __init__(self, code: str, given: str, allowed: str = "", next_step: str = "", *, required: str = "") -> None:
        self.code, self.given, self.allowed, self.next_step = code, given, allowed, next_step
        self.required = required
        parts = [_sentence(given), self.expected, f"Next: {_sentence(next_step)}" if next_step else ""]
        super().__init__(" ".join(part for part in parts if part))

    @property
    def expected(self) -> str:
        """The middle of the message: "Required: ...", "Allowed: ...", or an empty string."""
        parts = (("Required", self.required), ("Allowed", self.allowed))
        return " ".join(f"{word}: {_sentence(text)}" for word, text in parts if text)

    def with_given(self, given: str) -> Self:
        """The same error with another first sentence, for a caller that knows more about the place."""
        return _restore(type(self), self.code, given, self.allowed, self.next_step, self.required)

    def __reduce__(self) -> tuple[object, ...]:
        """Errors cross process boundaries, and the signatures of subclasses differ."""
        return _restore, (type(self), self.code, self.given, self.allowed, self.next_step, self.required)


def _sentence(text: str) -> str:
    """The text with one final period, unless it ends in a question."""
    return text if text.endswith("?") else f"{text.rstrip('.')}."


class EngineError(PunctumError):
    """The inference engine failed or returned invalid values: wrong shapes, NaN, scores outside 0 to 1."""


class InputError(PunctumError):
    """The input is invalid. Exit code 2."""

    exit_code = 2


class SourceLostError(InputError):
    """A live source is unavailable, or was lost and did not return. Exit code 3: running again may succeed."""

    exit_code = 3


class MissingDependencyError(PunctumError):
    """An optional dependency is not installed. Exit code 2.

    Args:
        library: The package that is missing, as the package index names it.
        extra: The extra of punctum that installs it.
        purpose: What needs the package, as a noun phrase: "drawing the delay curve".
    """

    exit_code = 2

    def __init__(self, library: str, extra: str, purpose: str) -> None:
        super().__init__(
            "missing-dependency",
            f"{purpose[:1].upper()}{purpose[1:]} needs {library}, which is not installed",
            required=f"an environment with {library}",
            next_step=f"pip install 'punctum[{extra}]'",
        )


def _restore(kind: type[E], code: str, given: str, allowed: str, next_step: str, required: str) -> E:
    error = kind.__new__(kind)
    PunctumError.__init__(error, code, given, allowed, next_step, required=required)
    return error

"""Calls an engine: whatever it raises becomes an EngineError."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, TypeVarTuple

from ..errors import EngineError, PunctumError

T = TypeVar("T")
Arguments = TypeVarTuple("Arguments")


def call_engine(run: Callable[[*Arguments], T], *arguments: *Arguments) -> T:
    """Call a method of the engine. Any exception that is not a PunctumError becomes an EngineError."""
    try:
        return run(*arguments)
    except PunctumError:
        raise
    except Exception as error:
        what = str(error).strip()[:200] or type(error).__name__
        raise EngineError(
            "engine-failed",
            f"The engine failed: {what}",
            "",
            "repeat the call: nothing has changed; if it fails again, check the engine and its memory",
        ) from error

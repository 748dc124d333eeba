"""What an inference library reports when it fails, as text and as errors."""

from __future__ import annotations

from ..errors import PunctumError
from ..text.display import plain


def failure_text(error: object, longest: int = 1200) -> str:
    """The message of an inference library on one line.

    The cause often stands at the end, after a long list of source positions. A text that is too long therefore loses
    its middle.
    """
    text = plain(error) or error.__class__.__name__
    return text if len(text) <= longest else f"{text[: longest // 3]} ... {text[-(2 * longest // 3) :]}"


def engine_failed(error: Exception) -> PunctumError:
    """The error for an engine that fails during a run."""
    if isinstance(error, PunctumError):  # a remote engine has already described its failure
        return error
    return PunctumError(
        "engine-failed",
        f"The engine failed: {failure_text(error)}",
        next_step="on a GPU check `gpu_mem_limit` and nvidia-smi, otherwise run `punctum doctor` with this bundle",
    )

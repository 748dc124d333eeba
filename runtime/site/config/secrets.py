"""Secrets of a configuration: read from an environment variable or a file when they are used, and never shown."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from ...errors import InputError
from ...files.regular import read_regular
from .models import Secret

MOST_BYTES = 1 << 16
Environment = Callable[[str], str | None]


def read_secret(secret: Secret, folder: Path, environment: Environment = os.environ.get) -> str:
    """Read a secret.

    Args:
        secret: Where it is.
        folder: Relative paths are below it.
        environment: Looks up an environment variable.

    Raises:
        InputError: It is missing, empty or not text. The message names the variable or file, never the content.
    """
    if (secret.env is None) == (secret.file is None):
        raise InputError(
            "site-secret",
            "A secret has neither env nor file" if secret.env is None else "A secret has both env and file",
            required="env: VARIABLE or file: PATH",
            next_step="give one of them",
        )
    if secret.env is not None:
        value = environment(secret.env)
        if not value:
            state = "not set" if value is None else "empty"
            raise _missing(f"The environment variable {secret.env} is {state}", f"set {secret.env}")
        return value
    path = folder / Path(str(secret.file)).expanduser()
    why = ""
    try:
        data = read_regular(path, MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            why = f"has more than {MOST_BYTES} bytes"
        text = data.decode().rstrip("\r\n")
        if not text:
            why = "is empty"
        elif "\0" in text or "\n" in text:
            why = why or "has several lines or NUL bytes"
    except UnicodeDecodeError:
        why = "is not UTF-8"
    except (OSError, ValueError) as error:
        why = f"cannot be read ({error.strerror if isinstance(error, OSError) else 'not a path'})"
    if why:
        raise _missing(f"The secret file {path} {why}", "check the file")
    return text


def _missing(given: str, next_step: str) -> InputError:
    return InputError("site-secret", given, required="one line of text", next_step=next_step)

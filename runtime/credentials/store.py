"""User names, passwords and tokens from a file or the environment, since a command line is visible to all users.

A TOML file, each part optional:

    [source]            # RTSP and HTTP
    user = "viewer"
    password = "..."
    [mqtt]
    user = "events"
    password = "..."
    [socket]            # required of senders to tcp:// and unix://
    token = "..."

Or environment variables: PUNCTUM_SOURCE_USER, PUNCTUM_SOURCE_PASSWORD, PUNCTUM_MQTT_USER, PUNCTUM_MQTT_PASSWORD and
PUNCTUM_SOCKET_TOKEN. Each password and the token may also be read from a file, which the variable with the suffix _FILE
names. An address with a user has precedence over the file, and the file over variables.
"""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import InputError

_PARTS = {"source": {"user", "password"}, "mqtt": {"user", "password"}, "socket": {"token"}}
MAX_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Login:
    """A user name and a password, both optional."""

    user: str | None = None
    password: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Credentials:
    """All credentials of a run. from_file: the parts that were read from the file."""

    source: Login = Login()
    mqtt: Login = Login()
    token: bytes | None = field(default=None, repr=False)
    from_file: frozenset[str] = frozenset()

    @classmethod
    def load(cls, path: Path | None = None) -> Credentials:
        """Read the environment, and a file if given. Raises InputError, whose message never contains a secret."""
        read = {} if path is None else _read(path)
        logins = {
            part: Login(
                read.get(part, {}).get("user") or os.environ.get(f"PUNCTUM_{part.upper()}_USER") or None,
                read.get(part, {}).get("password") or _variable(f"PUNCTUM_{part.upper()}_PASSWORD"),
            )
            for part in ("source", "mqtt")
        }
        token = read.get("socket", {}).get("token") or _variable("PUNCTUM_SOCKET_TOKEN")
        return cls(logins["source"], logins["mqtt"], None if token is None else token.encode(), frozenset(read))


def _variable(name: str) -> str | None:
    """A secret from a variable, or from the file that NAME_FILE names."""
    path = os.environ.get(f"{name}_FILE")
    if not path:
        return os.environ.get(name) or None
    return _text(Path(path), f"{name}_FILE").rstrip("\r\n") or None


def _text(path: Path, what: str) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise InputError(
                "credentials", f"{path} ({what}) is too large", f"up to {MAX_BYTES} bytes", "check the file"
            )
        return data.decode()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
    raise InputError("credentials", f"Cannot read {path} ({what}): {why}", "a readable text file", "check the path")


def _read(path: Path) -> dict[str, dict[str, str]]:
    text, allowed = _text(path, "credentials"), "[source] and [mqtt] with user and password, [socket] with token"
    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        # Without the parser's message, which may quote a secret.
        where = str(error).rpartition("(at ")[2].rstrip(")") if "(at " in str(error) else "somewhere"
        wrong = f"{path} is not TOML (at {where})"
    else:
        wrong = ""
        for part, values in found.items():
            if part not in _PARTS or not isinstance(values, dict) or not values.keys() <= _PARTS[part]:
                names = ", ".join(sorted(values.keys() - _PARTS.get(part, set()))) if isinstance(values, dict) else ""
                wrong = f"{path} has an unknown part, {part}{f' with {names}' if part in _PARTS and names else ''}"
            elif not all(isinstance(value, str) and value for value in values.values()):
                wrong = f"{path} has a value in {part} that is empty or not text"
    if wrong:
        raise InputError("credentials", wrong, allowed, "correct the file")
    return found

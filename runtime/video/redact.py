"""Addresses of sources, and the rule that credentials never appear: not in names, messages, errors or logs."""

from __future__ import annotations

import re
from typing import Literal
from urllib.parse import unquote

from ..errors import InputError

HIDDEN = "***"
Kind = Literal["file", "http", "rtsp", "camera"]
_SCHEMES: dict[str, Kind] = {"rtsp": "rtsp", "rtsps": "rtsp", "http": "http", "https": "http"}
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s'\"<>]+")
# Settings that name a stream rather than a person. Whatever else a query holds is taken for a secret.
_PLAIN = {"camera", "channel", "codec", "fps", "profile", "quality", "resolution", "stream", "subtype", "track"}
_PAIR = re.compile(r"(?P<key>[A-Za-z][A-Za-z0-9.-]*)=(?P<value>[^&;/?#]*)")
# Some cameras want user and password in the path: /user=admin_password=x_channel=1_stream=0.sdp
_PATH_PAIR = re.compile(
    r"(?i)(?P<key>[a-z]*(?:user|login|pass|pwd|token|secret|auth|key|sig)[a-z]*)=(?P<value>[^&;/?#_]*)"
)


class Address:
    """Where a source is. `shown` is for people; `target`, which may hold a password, is for FFmpeg alone."""

    __slots__ = ("_secrets", "_target", "kind", "shown")

    def __init__(self, kind: Kind, target: str, shown: str) -> None:
        self.kind, self.shown = kind, shown
        self._target = target
        self._secrets = _secrets(target) if kind in ("http", "rtsp") else ()

    @classmethod
    def parse(cls, text: str) -> Address:
        """A path, file://, http(s)://, rtsp(s)://, or camera:/dev/video0. Raises InputError."""
        allowed = "a path, http://, https://, rtsp://, rtsps://, or camera:/dev/video0"
        if not text or "\0" in text:
            raise InputError("video-address", f"the address {text!r}", allowed, "give a video file or a stream")
        if text.startswith("camera:"):
            device = text.removeprefix("camera:")
            device = f"/dev/video{device}" if device.isdecimal() else device
            if not device.startswith("/"):
                raise InputError(
                    "video-address", f"the camera {device!r}", "camera:0 or camera:/dev/video0", "correct it"
                )
            return cls("camera", device, f"camera:{device}")
        scheme = _SCHEME.match(text)
        if scheme is None:
            return cls("file", text, text)
        name, rest = scheme[1].lower(), text[scheme.end() :]
        if name == "file":
            return cls("file", unquote(rest), unquote(rest))
        if name not in _SCHEMES:
            raise InputError("video-address", f"the address {redact(text)}", allowed, "use one of these protocols")
        shown = redact(text)
        host = re.split(r"[/?#]", shown[scheme.end() :].removeprefix(f"{HIDDEN}@"))[0]
        if not host or any(letter.isspace() for letter in text):
            raise InputError("video-address", f"the address {shown}", f"{name}://host/...", "correct the address")
        return cls(_SCHEMES[name], f"{name}://{rest}", f"{name}://{shown[scheme.end() :]}")

    @property
    def target(self) -> str:
        """What FFmpeg opens. Never print it."""
        return self._target

    @property
    def secret(self) -> bool:
        """Whether it holds credentials."""
        return bool(self._secrets)

    def clean(self, text: str) -> str:
        """The text without this address's credentials, and without those of any other address in it."""
        text = _URL.sub(lambda match: redact(match[0]), text.replace(self._target, self.shown))
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        return text

    def __repr__(self) -> str:
        return f"Address({self.shown!r})"

    def __getstate__(self) -> object:
        raise TypeError("an address may hold credentials and is not pickled")


def redact(url: str) -> str:
    """The address with user, password and unknown query values replaced by stars. More rather than less is hidden."""
    scheme = _SCHEME.match(url)
    if scheme is None:
        return url
    base, mark, query = url[scheme.end() :].partition("?")
    # A password may hold "/", "@" and "?" that nobody encoded: everything up to the last "@" goes.
    if "@" in base and "@" in query:  # a "?" that belongs to the password, or an "@" of the query: nobody can tell
        return f"{scheme[0]}{HIDDEN}@{redact(scheme[0] + query.rpartition('@')[2]).removeprefix(scheme[0])}"
    if "@" in base:
        base = f"{HIDDEN}@{base.rpartition('@')[2]}"
    elif "@" in query and ":" in base.partition("/")[0] and not re.fullmatch(r"[^/]*:\d+(/.*)?", base):
        return f"{scheme[0]}{HIDDEN}@{redact(scheme[0] + query.rpartition('@')[2]).removeprefix(scheme[0])}"
    base = _PATH_PAIR.sub(lambda match: f"{match['key']}={HIDDEN}", base)
    query = _PAIR.sub(_hide, query) if "=" in query else HIDDEN if query else ""
    return f"{scheme[0]}{base}{mark}{query}"


def _hide(pair: re.Match[str]) -> str:
    return pair[0] if pair["key"].lower() in _PLAIN else f"{pair['key']}={HIDDEN}"


def _secrets(url: str) -> tuple[str, ...]:
    """Texts that must never be shown, longest first: user and password as given and decoded, hidden query values."""
    rest = url.partition("://")[2]
    base, _, query = rest.partition("?")
    found: set[str] = set()
    if "@" in rest:
        for part in {base if "@" in base else rest, rest}:
            login = part.rpartition("@")[0]
            found |= {login, login.partition(":")[2], login.partition(":")[0]}
    found |= {match["value"] for match in _PATH_PAIR.finditer(base)}
    found |= {match["value"] for match in _PAIR.finditer(query) if match["key"].lower() not in _PLAIN}
    found |= {unquote(text) for text in found}
    # Shorter ones would eat letters out of every message; nobody can tell a secret from them.
    return tuple(sorted((text for text in found if len(text) > 2), key=len, reverse=True))

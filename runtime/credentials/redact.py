"""Addresses of sources without their credentials, for names, messages, errors and logs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal
from urllib.parse import quote, unquote

from ..errors import InputError

HIDDEN = "***"
Kind = Literal["file", "http", "rtsp", "camera", "gst"]
_SCHEMES: dict[str, Kind] = {"rtsp": "rtsp", "rtsps": "rtsp", "http": "http", "https": "http"}
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s'\"<>]+")
# Settings that describe a stream. The value of any other setting is treated as a secret.
_PLAIN = {"camera", "channel", "codec", "fps", "profile", "quality", "resolution", "stream", "subtype", "track"}
_PLAIN_VALUE = re.compile(r"[\w.-]{0,32}")
# Some cameras want user and password in the path, /user=admin_password=x_channel=1_stream=0.sdp, and some servers
# want signatures there: /hdnts=exp=1~hmac=x/
_PATH_PAIR = re.compile(r"(?P<key>[A-Za-z][A-Za-z0-9.-]*)=(?P<value>(?:(?!_[A-Za-z][A-Za-z0-9.-]*=)[^&~,])*)")
_KEY_FOLDER = re.compile(
    r"(?i)(?:api|access|stream)?[-_]?(?:auth|jwt|key|pass|password|pwd|secret|session|sid|sig|token)"
)
# A path segment that looks generated: a JWT, a long hexadecimal number, or mixed letters and digits.
_KEY_SEGMENT = re.compile(r"eyJ[\w-]{8,}.*|[0-9A-Fa-f]{32,}|(?=[^/]*[0-9])(?=[^/]*[a-z])(?=[^/]*[A-Z])[\w~+=%-]{20,}")
# Properties of GStreamer elements whose values are secret: user-id, user-pw, passphrase, access-token, ...
_PROPERTY = re.compile(
    r"(?i)(?P<key>(?<![\w-])[\w:-]*(?:auth|cookie|key|login|pass|pw|secret|token|user)[\w-]*\s*=\s*(?:\([^()]*\)\s*)?)"
    r"(?P<value>\"(?:\\.|[^\"\\])*\"|'[^']*'|[^\s\"'!]+)"
)


class Address:
    """The address of a source. `shown` is for output; `target`, which may contain a password, is for FFmpeg only."""

    __slots__ = ("_secrets", "_target", "kind", "shown")

    def __init__(self, kind: Kind, target: str, shown: str) -> None:
        self.kind, self.shown = kind, shown
        self._target = target
        self._secrets = (
            _secrets(target) if kind in ("http", "rtsp") else _pipeline_secrets(target) if kind == "gst" else ()
        )

    @classmethod
    def parse(cls, text: str) -> Address:
        """Parse a path, file://, http(s)://, rtsp(s)://, camera:/dev/video0, or gst:PIPELINE. Raises InputError."""
        allowed = "a path, http://, https://, rtsp://, rtsps://, camera:/dev/video0, or gst:PIPELINE"
        if not text or "\0" in text:
            raise InputError("video-address", f"{text!r} is not an address", allowed, "name a video file or a stream")
        if text.startswith("camera:"):
            device = text.removeprefix("camera:")
            device = f"/dev/video{device}" if device.isdecimal() else device
            if not device.startswith("/"):
                raise InputError(
                    "video-address", f"{device!r} is not a camera", "camera:0 or camera:/dev/video0", "correct it"
                )
            return cls("camera", device, f"camera:{device}")
        if text.startswith("gst:"):
            pipeline = text.removeprefix("gst:").strip().rstrip("!").rstrip()
            if not pipeline:
                raise InputError(
                    "video-address", "The pipeline is empty", "gst: and elements of GStreamer", "name its elements"
                )
            return cls("gst", pipeline, f"gst:{redact_pipeline(pipeline)}")
        scheme = _SCHEME.match(text)
        if scheme is None:
            return cls("file", text, text)
        name, rest = scheme[1].lower(), text[scheme.end() :]
        if name == "file":
            return cls("file", unquote(rest), unquote(rest))
        if name not in _SCHEMES:
            raise InputError("video-address", f"{redact(text)} has an unknown protocol", allowed, "use one of these")
        shown = redact(text)
        host = re.split(r"[/?#]", shown[scheme.end() :].removeprefix(f"{HIDDEN}@"))[0]
        if not host or any(letter.isspace() for letter in text):
            raise InputError(
                "video-address", f"{shown} is not a valid address", f"{name}://host/...", "correct the address"
            )
        return cls(_SCHEMES[name], f"{name}://{rest}", f"{name}://{shown[scheme.end() :]}")

    def with_login(self, user: str, password: str | None) -> Address:
        """The same address with user and password, unless it has its own. Only for network addresses."""
        scheme, _, rest = self._target.partition("://")
        if self.kind not in ("http", "rtsp") or _login(rest)[0] is not None:
            return self
        login = quote(user, safe="") + ("" if password is None else f":{quote(password, safe='')}")
        return Address(self.kind, f"{scheme}://{login}@{rest}", self.shown)

    @property
    def target(self) -> str:
        """What FFmpeg opens. Never print it."""
        return self._target

    @property
    def secret(self) -> bool:
        """Whether it contains credentials."""
        return bool(self._secrets)

    def clean(self, text: str) -> str:
        """The text without this address's credentials, and without those of any other address in it."""
        text = clean(text.replace(self._target, self.shown))
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        return text

    def __repr__(self) -> str:
        return f"Address({self.shown!r})"

    def __getstate__(self) -> object:
        raise TypeError("an address may hold credentials and is not pickled")


def redact(url: str) -> str:
    """An address without what may be secret: user and password, values in queries, in path parameters and in pairs in
    the path, fragments, and path segments that look like keys. In doubt a part is hidden."""
    scheme = _SCHEME.match(url)
    if scheme is None:
        return url
    return scheme[0] + "".join(HIDDEN if hidden else text for text, hidden in _parts(url[scheme.end() :]))


def redact_pipeline(text: str) -> str:
    """A pipeline of GStreamer without the secrets of its addresses and the values of properties that look secret."""
    return clean(_PROPERTY.sub(lambda match: match["key"] + HIDDEN, text))


def _pipeline_secrets(text: str) -> tuple[str, ...]:
    """Texts of a pipeline that must never be shown, longest first."""
    found = {secret for match in _URL.finditer(text) for secret in _secrets(match[0])}
    for match in _PROPERTY.finditer(text):
        found |= {match["value"], match["value"].strip("\"'")}
    return tuple(sorted((secret for secret in found if len(secret) > 2), key=len, reverse=True))


def clean(text: str) -> str:
    """Redact every address in a text."""
    return _URL.sub(lambda match: redact(match[0]), text)


def _parts(rest: str) -> Iterator[tuple[str, bool]]:
    """What follows the scheme of an address, in pieces: (text, whether it is hidden)."""
    login, rest = _login(rest)
    if login is not None:
        yield login, True
        yield "@", False
    rest, hash_mark, fragment = rest.partition("#")
    base, mark, query = rest.partition("?")
    host, *segments = base.split("/")
    yield host, False
    before = ""
    for segment in segments:
        yield "/", False
        yield from _segment(segment, before)
        before = segment
    yield mark, False
    for piece in re.split(r"([&;])", query):
        yield from _setting(piece)
    yield hash_mark, False
    if fragment:
        yield fragment, True


def _login(rest: str) -> tuple[str | None, str]:
    """(user and password or None, the rest)."""
    base, _, query = rest.partition("?")
    # A password may contain "/", "@" and "?" without encoding: everything up to the last "@" is hidden.
    if "@" in base and "@" not in query:
        login, _, host = base.rpartition("@")
        return login, host + rest[len(base) :]
    numbered = re.fullmatch(r"[^/]*:\d+(/.*)?", base)
    if "@" in query and ("@" in base or (":" in base.partition("/")[0] and not numbered)):
        # A "?" of the password, or an "@" of the query: ambiguous, so hide it.
        login, _, rest = rest.rpartition("@")
        return login, rest
    return None, rest


def _segment(segment: str, before: str) -> Iterator[tuple[str, bool]]:
    """A segment of a path, which follows the segment `before`."""
    name, *parameters = segment.split(";")
    if name and (_KEY_FOLDER.fullmatch(before) or _KEY_SEGMENT.fullmatch(name)):
        yield name, True
    else:
        end = 0
        for pair in _PATH_PAIR.finditer(name):
            yield name[end : pair.start("value")], False
            yield pair["value"], not _is_plain(pair["key"], pair["value"])
            end = pair.end()
        yield name[end:], False
    for parameter in parameters:
        yield ";", False
        yield from _setting(parameter)


def _setting(piece: str) -> Iterator[tuple[str, bool]]:
    """One of a query or of the parameters of a path: key=value, or anything else."""
    key, mark, value = piece.partition("=")
    if piece in ("", "&", ";"):
        yield piece, False
    elif mark and value.strip("="):
        yield f"{key}=", False
        yield value, not _is_plain(key, value)
    else:  # no key, or what looks like one but is the padding of Base64
        yield piece, True


def _is_plain(key: str, value: str) -> bool:
    # In ".../stream=0.sdp" the ending belongs to the path.
    return key.lower() in _PLAIN and _PLAIN_VALUE.fullmatch(value) is not None


def _secrets(url: str) -> tuple[str, ...]:
    """Texts that must never be shown, longest first: all that `redact` hides, as written and decoded."""
    found: set[str] = set()
    rest = url.partition("://")[2]
    login, _ = _login(rest)
    if login is not None:
        for part in {login, rest.rpartition("@")[0]}:
            found |= {part, part.partition(":")[2], part.partition(":")[0]}
    found |= {text for text, hidden in _parts(rest) if hidden}
    found |= {unquote(text) for text in found}
    # Shorter ones would remove letters from every message.
    return tuple(sorted((text for text in found if len(text) > 2), key=len, reverse=True))

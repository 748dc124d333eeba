"""Playlist entries other than plain files: data URIs and encrypted segments."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Callable
from urllib.parse import unquote, unquote_to_bytes

from ..errors import InputError
from ._guard import Refused

MAX_DATA_URI = 1 << 20


class Bytes:
    """A small file in memory for FFmpeg, or a response without a body."""

    length = 0

    def __init__(self, data: bytes, name: str = "") -> None:
        self._data, self.name = data, name

    def read(self, size: int) -> bytes:
        data, self._data = self._data[:size], self._data[size:]
        return data

    read1 = read

    def close(self) -> None:
        self._data = b""


def data_uri(url: str) -> bytes:
    """Decode a data URI; empty if it is invalid."""
    head, _, text = url[5 : MAX_DATA_URI + 5].partition(",")
    try:
        return base64.b64decode(unquote(text)) if head.endswith(";base64") else unquote_to_bytes(text)
    except ValueError:
        return b""


def decryptor(options: dict[str, str]) -> Callable[[bytes], bytes]:
    """Return a function that decrypts AES-128-CBC segments of HLS with the key and vector from the playlist."""
    try:
        from cryptography.hazmat.primitives import padding
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
    except ImportError:
        raise Refused(
            InputError(
                "video-encrypted",
                "The playlist contains encrypted segments, which need the package cryptography",
                required="a stream without encryption, or an environment with cryptography",
                next_step="pip install 'punctum[hls]'",
            )
        ) from None
    key, vector = bytes.fromhex(options.get("key", "")), bytes.fromhex(options.get("iv", ""))

    def decrypt(data: bytes) -> bytes:
        if len(key) != 16 or len(vector) != 16 or len(data) % 16:
            return b""
        cipher = Cipher(algorithms.AES(key), modes.CBC(vector)).decryptor()
        text: bytes = cipher.update(data) + cipher.finalize()
        unpadder = padding.PKCS7(128).unpadder()
        with contextlib.suppress(ValueError):  # no padding: the demuxer accepts the data as it is
            text = unpadder.update(text) + unpadder.finalize()
        return text

    return decrypt

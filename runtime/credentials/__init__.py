"""User names, passwords and tokens: where they come from, and keeping them out of messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._lazy import lazy_names

if TYPE_CHECKING:
    from .redact import Address
    from .store import Credentials, Login

_MODULES = {"Address": "redact", "Credentials": "store", "Login": "store"}

__all__ = ["Address", "Credentials", "Login"]

__getattr__ = lazy_names(__name__, _MODULES)

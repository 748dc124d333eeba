"""Sources of features: files, folders, standard input, sockets, and video if the bundle has a backbone."""

from __future__ import annotations

from .items import Bad, Begin, Chunk, Item, Source
from .open import open_source

__all__ = ["Bad", "Begin", "Chunk", "Item", "Source", "open_source"]

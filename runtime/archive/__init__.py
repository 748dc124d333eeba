"""Batch scoring of archives: many items, each scored once, results that survive whatever ends the run.

    inputs -> items -> groups -> workers (processes here, or actors of a Ray cluster) -> parts + ledger

`score_archive` runs the pipeline; running it again into the same folder goes on where the last run ended.
`read_events` and `read_items` read what it left. docs/how-to/archives.md says what it costs.
"""

from __future__ import annotations

from ._options import ArchiveOptions
from .results import read_events, read_items
from .run import Summary, score_archive

__all__ = ["ArchiveOptions", "Summary", "read_events", "read_items", "score_archive"]

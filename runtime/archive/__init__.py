"""Batch scoring of archives: many items, each scored once, and results that survive interruptions.

    inputs -> items -> groups -> workers (processes here, or actors of a Ray cluster) -> parts + ledger

`score_archive` runs the pipeline; with the folder of an existing run, it resumes that run. `read_events` and
`read_items` read the results. See docs/how-to/archives.md for throughput and costs.
"""

from __future__ import annotations

from ._options import ArchiveOptions
from .results import read_events, read_items
from .run import Summary, score_archive

__all__ = ["ArchiveOptions", "Summary", "read_events", "read_items", "score_archive"]

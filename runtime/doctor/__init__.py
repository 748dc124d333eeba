"""Whether this machine can run punctum, on which devices, and what to do where it cannot."""

from ._examine import examine, what_stops
from ._findings import Finding, Report, Verdict
from ._world import World

__all__ = ["Finding", "Report", "Verdict", "World", "examine", "what_stops"]

"""Whether this machine can run punctum, on which devices, and what to do where it cannot."""

from ..machine.examine import what_stops
from ..machine.findings import Finding, Report, Verdict
from ..machine.world import World
from .examine import examine

__all__ = ["Finding", "Report", "Verdict", "World", "examine", "what_stops"]

"""Check whether this machine can run punctum and on which devices, and report what to do where it cannot.

`machine` examines what is installed; this package checks a bundle and the video libraries and tries the devices.
"""

from ..machine.findings import Finding
from ..machine.host import Host
from .report import DeviceStatus, DoctorReport
from .run import examine

__all__ = ["DeviceStatus", "DoctorReport", "Finding", "Host", "examine"]

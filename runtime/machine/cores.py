"""Cores that this process may use: by affinity, by CPU set and by the quota of its control groups.

In a container the number of processors is not meaningful: with `--cpus 0.5` all of them stay visible. Code that starts
one worker or thread per core calls `whole_cores`.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable
from pathlib import Path

Read = Callable[[str], str]
"""Content of a small text file by its absolute path; "" where it does not exist."""

_LARGEST = 1 << 20


def usable_cores(read: Read | None = None, *, affinity: int | None = None) -> float:
    """CPU time that this process may use, in cores. Greater than 0; may be a fraction.

    Args:
        read: Reads files of another machine, or of a test fixture.
        affinity: Cores by affinity on that machine.
    """
    read = _read if read is None else read
    limits: list[float] = [float(affinity if affinity is not None else affinity_cores())]
    limits += [x for x in (cpuset_cores(read), quota_cores(read)) if x is not None]
    return min(limits)


def whole_cores(read: Read | None = None, *, affinity: int | None = None) -> int:
    """Workers or threads that can run at the same time: usable cores rounded down, at least 1."""
    return max(math.floor(usable_cores(read, affinity=affinity) + 1e-6), 1)


def affinity_cores() -> int:
    """Cores that this process may run on, by its affinity."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def quota_cores(read: Read) -> float | None:
    """CPU time that control groups allow this process, in cores; None without a limit.

    Limits of parent groups apply as well, so the smallest is returned.
    """
    limits: list[float] = []
    for folder, second in _groups(read, "cpu"):
        if second:
            numbers = read(f"{folder}/cpu.max").split()
        else:
            numbers = [read(f"{folder}/cpu.cfs_quota_us"), read(f"{folder}/cpu.cfs_period_us")]
        try:
            quota, period = (int(part) for part in numbers)
        except ValueError:
            continue
        if quota > 0 and period > 0:
            limits.append(quota / period)
    return min(limits) if limits else None


def cpuset_cores(read: Read) -> int | None:
    """Processors in the CPU set of this process; None where it is unknown."""
    counts: list[int] = []
    for folder, second in _groups(read, "cpuset"):
        names = ("cpuset.cpus.effective",) if second else ("cpuset.effective_cpus", "cpuset.cpus")
        counts += [n for name in names if (n := _count(read(f"{folder}/{name}")))]
    return min(counts) if counts else None


def _groups(read: Read, controller: str) -> list[tuple[str, bool]]:
    """(folder, whether it is of cgroup version 2) of this process's control groups, from its own up to the root."""
    mounts = _mounts(read)
    folders: list[tuple[str, bool]] = []
    for line in read("/proc/self/cgroup").splitlines() or ["0::/"]:
        _, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")
        if controllers and controller not in controllers.split(","):
            continue
        places = [(at, root) for kinds, at, root in mounts if (controller in kinds if controllers else kinds == [""])]
        if controllers:
            places += [(f"/sys/fs/cgroup/{name}", "/") for name in (controllers, controller)]
        else:
            places += [("/sys/fs/cgroup", "/"), ("/sys/fs/cgroup/unified", "/")]
        for at, root in places:
            # In a container a lower group is mounted as the root, while the path starts at the real root.
            path = group.removeprefix(root) if root != "/" and group.startswith(root) else group
            parts = [part for part in path.split("/") if part and part != ".."]
            folders += [("/".join([at, *parts[:k]]), not controllers) for k in range(len(parts), -1, -1)]
    return list(dict.fromkeys(folders))


def _mounts(read: Read) -> list[tuple[list[str], str, str]]:
    """(controllers, [""] for version 2; mount point; group that is mounted there) of the mounted hierarchies."""
    mounts = []
    for line in read("/proc/self/mountinfo").splitlines():
        before, _, after = line.partition(" - ")
        fields, kind = before.split(), after.split()
        if len(fields) < 5 or not kind or kind[0] not in ("cgroup", "cgroup2"):
            continue
        options = kind[-1].split(",") if kind[0] == "cgroup" else [""]
        mounts.append((options, _unescape(fields[4]), _unescape(fields[3])))
    return mounts


def _unescape(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda m: chr(int(m[1], 8)), text)


def _count(text: str) -> int:
    """Number of processors in a list such as `0-3,8`; 0 for any other text."""
    total = 0
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        if not first.isdecimal() or (last and not last.isdecimal()):
            return 0
        total += max(int(last or first) - int(first) + 1, 0)
    return total


def _read(path: str) -> str:
    try:
        return Path(path).read_bytes()[:_LARGEST].decode("utf-8", "replace").strip()
    except OSError:
        return ""

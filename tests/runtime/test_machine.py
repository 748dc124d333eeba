"""Cores that a process may really use: affinity, CPU sets, quotas of both versions of control groups, real ones too."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from punctum.runtime.machine.cores import affinity_cores, cpuset_cores, quota_cores, usable_cores, whole_cores
from punctum.runtime.machine.vectors import vector_instructions

V1 = {"proc/self/cgroup": "4:cpu,cpuacct:/docker/ab\n3:cpuset:/docker/ab\n2:memory:/x\n"}
CPU = "sys/fs/cgroup/cpu,cpuacct"
MOUNTS = (
    "30 23 0:26 /docker/ab /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct\n"
    "31 23 0:27 / /host\\040groups rw - cgroup2 cgroup2 rw,nsdelegate\n"
    "rubbish\n"
)


def reader(folder: Path, files: dict[str, str]):
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def read(name: str) -> str:
        try:
            return (folder / name.lstrip("/")).read_text().strip()
        except OSError:
            return ""

    return read


@pytest.mark.parametrize(
    ("files", "quota", "usable"),
    [
        ({}, None, 8),
        ({"sys/fs/cgroup/cpu.max": "max 100000"}, None, 8),
        ({"sys/fs/cgroup/cpu.max": "50000 100000"}, 0.5, 0.5),
        ({"sys/fs/cgroup/cpu.max": "1600000 100000"}, 16, 8),
        ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/cpu.max": "150000 100000"}, 1.5, 1.5),
        (
            {
                "proc/self/cgroup": "0::/a/b\n",
                "sys/fs/cgroup/a/cpu.max": "150000 100000",
                "sys/fs/cgroup/a/b/cpu.max": "300000 100000",
            },
            *(1.5, 1.5),
        ),
        ({**V1, f"{CPU}/docker/ab/cpu.cfs_quota_us": "-1", f"{CPU}/docker/ab/cpu.cfs_period_us": "100000"}, None, 8),
        (
            {**V1, f"{CPU}/docker/ab/cpu.cfs_quota_us": "250000", f"{CPU}/docker/ab/cpu.cfs_period_us": "100000"},
            2.5,
            2.5,
        ),
        # What a container sees: its own group at the top of the mount, the whole path in /proc/self/cgroup.
        ({**V1, f"{CPU}/cpu.cfs_quota_us": "50000", f"{CPU}/cpu.cfs_period_us": "100000"}, 0.5, 0.5),
        (
            {
                **V1,
                "proc/self/mountinfo": MOUNTS,
                f"{CPU}/cpu.cfs_quota_us": "75000",
                f"{CPU}/cpu.cfs_period_us": "100000",
            },
            *(0.75, 0.75),
        ),
        (
            {
                "proc/self/cgroup": "0::/job\n",
                "proc/self/mountinfo": MOUNTS,
                "host groups/job/cpu.max": "300000 100000",
            },
            *(3, 3),
        ),
        ({"sys/fs/cgroup/cpu.max": "rubbish"}, None, 8),
        ({"sys/fs/cgroup/cpu.max": "0 0"}, None, 8),
        ({"sys/fs/cgroup/cpuset.cpus.effective": "0-2,5"}, None, 4),
        ({**V1, "sys/fs/cgroup/cpuset/docker/ab/cpuset.cpus": "3"}, None, 1),
        ({**V1, "sys/fs/cgroup/cpuset/docker/ab/cpuset.cpus": "\n"}, None, 8),
        ({"sys/fs/cgroup/cpuset.cpus.effective": "0-1", "sys/fs/cgroup/cpu.max": "150000 100000"}, 1.5, 1.5),
        ({"sys/fs/cgroup/cpuset.cpus.effective": "a-b"}, None, 8),
    ],
)
def test_limits(tmp_path, files, quota, usable):
    read = reader(tmp_path, files)
    assert quota_cores(read) == quota
    assert usable_cores(read, affinity=8) == usable
    assert whole_cores(read, affinity=8) == max(int(usable), 1)
    assert cpuset_cores(read) is None or cpuset_cores(read) >= 1


def test_this_machine():
    assert 0 < usable_cores() <= affinity_cores() <= (os.cpu_count() or 1)
    assert 1 <= whole_cores() <= affinity_cores()


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity on this system")
def test_affinity():
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert affinity_cores() == whole_cores() == 1
    finally:
        os.sched_setaffinity(0, before)


@pytest.fixture
def half_a_core() -> Iterator[Path]:
    """A real control group with half a core; skips where none can be made."""
    first, second = Path("/sys/fs/cgroup/cpu"), Path("/sys/fs/cgroup")
    name = f"punctum-test-{os.getpid()}"
    group = (first if first.is_dir() else second) / name
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"no control group can be made here ({error.strerror})")
    try:
        if (group / "cpu.max").exists():
            (group / "cpu.max").write_text("50000 100000")
        else:
            (group / "cpu.cfs_quota_us").write_text("50000")
        yield group
    except OSError as error:
        pytest.skip(f"no quota can be set here ({error.strerror})")
    finally:
        group.rmdir()


NOT_MOVED = 77  # exit code of a child that the kernel does not let into the group


def test_a_real_quota_counts_for_score_and_doctor(half_a_core):
    """Kernels with groups for real-time tasks refuse (EINVAL) a process that has a real-time priority, or gets one for
    a moment because another task waits for it. The error of a write names no file, so the child tells by its exit code.
    """
    code = (
        "import json, sys, pathlib, os, time\n"
        "for attempt in range(20):\n"
        "    try:\n"
        "        pathlib.Path(sys.argv[1], 'cgroup.procs').write_text(str(os.getpid()))\n"
        "        break\n"
        "    except OSError as error:\n"
        "        reason = str(error)\n"
        "        time.sleep(0.05)\n"
        "else:\n"
        f"    sys.stderr.write(reason); sys.exit({NOT_MOVED})\n"
        "from punctum.runtime.machine.cores import usable_cores, whole_cores\n"
        "from punctum.runtime.archive._options import ArchiveOptions\n"
        "from punctum.runtime.archive.run import _engine\n"
        "from punctum.runtime.machine.findings import Facts\n"
        "from punctum.runtime.machine.system import examine_system\n"
        "from punctum.runtime.machine.host import Host\n"
        "facts = Facts()\n"
        "examine_system(Host.here(), facts, threads=1)\n"
        "with _engine(ArchiveOptions(), idle=False) as (_, room): pass\n"
        "print(json.dumps([usable_cores(), whole_cores(), room, str(facts.sections['Machine']['usable cores'])]))\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(half_a_core)], capture_output=True, text=True, check=False)
    if done.returncode == NOT_MOVED:
        pytest.skip(f"no process can be moved into a control group here ({done.stderr})")
    assert done.stdout.strip() == '[0.5, 1, 1, "0.5"]', done.stderr


def test_score_leaves_room_for_the_threads_of_each_worker(monkeypatch):
    from punctum.runtime.archive import run
    from punctum.runtime.archive._options import ArchiveOptions

    monkeypatch.setattr(run, "whole_cores", lambda: 8)
    for threads, workers in ((1, 8), (3, 2), (16, 1)):
        with run._engine(ArchiveOptions(threads=threads), idle=False) as (_, room):
            assert room == workers


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("processor : 0\nflags\t\t: fpu avx avx2 avx512f avx512_vnni\n", "AVX-512 with VNNI"),
        ("flags : fpu avx avx2\n", "AVX2"),
        ("Features : fp asimd asimddp\n", "NEON with dot products"),
        ("flags : fpu\n", ""),
        ("", ""),
    ],
)
def test_the_vector_instructions(text, name, tmp_path):
    (tmp_path / "cpuinfo").write_text(text)
    assert vector_instructions(tmp_path / "cpuinfo") == name
    assert vector_instructions(tmp_path / "absent") == ""

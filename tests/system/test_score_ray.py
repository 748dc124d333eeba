"""`punctum score --engine ray` on a real cluster of two nodes, whose workers, driver and second node are killed."""

from __future__ import annotations

import importlib.util
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("pyarrow", reason="archives need pyarrow (the extra `archive`)")
pytest.importorskip("onnxruntime", reason="scoring needs onnxruntime")
pytest.importorskip("psutil", reason="finding the workers of a run needs psutil")
if importlib.util.find_spec("ray") is None or importlib.util.find_spec("pandas") is None:
    pytest.skip("needs ray with Ray Data (the extra `ray`)", allow_module_level=True)
import psutil
from punctum.runtime.archive import read_items
from punctum.runtime.cli import invoke

from tests.helpers import archives

pytestmark = pytest.mark.slow

ITEMS = 32
ENVIRONMENT = {
    **os.environ,
    "OMP_NUM_THREADS": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # which keeps all of it on the loopback address
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": secrets.token_hex(32),
}
ENVIRONMENT.pop("RAY_ADDRESS", None)


class Cluster:
    """Two nodes of one CPU each, as processes on this machine."""

    def __init__(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.address = f"127.0.0.1:{port}"
        self.nodes = [self._start("--head", f"--port={port}", "--include-dashboard=false")]
        try:
            deadline = time.monotonic() + 60
            while not self._listens(port):
                if time.monotonic() > deadline or self.nodes[0].poll() is not None:
                    pytest.fail("the head of the cluster did not start")
                time.sleep(0.05)
            self.nodes.append(self._start(f"--address={self.address}"))
        except BaseException:
            self.close()
            raise

    @staticmethod
    def _start(*options: str) -> subprocess.Popen:
        ray = [sys.executable, "-c", "import sys; from ray.scripts.scripts import main; sys.exit(main())"]
        sizes = ["--num-cpus=1", "--object-store-memory=100000000", "--node-ip-address=127.0.0.1"]
        return subprocess.Popen(
            [*ray, "start", "--block", *sizes, *options],
            env=ENVIRONMENT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    @staticmethod
    def _listens(port: int) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    def actors(self, node: int | None = None) -> list[psutil.Process]:
        """Workers that hold a bundle, of one node or of both."""
        found = []
        for one in self.nodes if node is None else [self.nodes[node]]:
            for process in descendants(one.pid):
                with_name = " ".join(process.cmdline()) if process.is_running() else ""
                if with_name.startswith("ray::") and "RayWorker" in with_name:
                    found.append(process)
        return found

    def kill(self, node: int) -> None:
        """All of a node at once, as when its power fails."""
        processes = descendants(self.nodes[node].pid)
        for process in processes:
            process.suspend()  # nobody of them sees the others go
        for process in [psutil.Process(self.nodes[node].pid), *processes]:
            process.kill()
        psutil.wait_procs(processes, timeout=10)

    def close(self) -> None:
        for number, one in enumerate(self.nodes):
            if one.poll() is None:
                self.kill(number)
            one.wait(10)


def descendants(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


@pytest.fixture(scope="module")
def cluster():
    one = Cluster()
    yield one
    one.close()


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    return archives.make_archive(tmp_path_factory.mktemp("recordings"), ITEMS, seconds=120, step=1)


@pytest.fixture(scope="module")
def whole(recordings, tmp_path_factory):
    """What an undisturbed run in processes of this machine gives."""
    out = tmp_path_factory.mktemp("whole") / "out"
    assert invoke(["score", str(archives.DEMO), str(recordings), "--out", str(out), "--workers", "1"]) == 0
    return archives.content(out)


def begin(recordings: Path, out: Path, address: str) -> subprocess.Popen:
    code = "from punctum.runtime.cli import main; main()"
    options = ["--out", str(out), "--engine", "ray", "--address", address, "--json"]
    return subprocess.Popen(
        [sys.executable, "-c", code, "score", str(archives.DEMO), str(recordings), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    )


def lines(out: Path) -> int:
    ledger = out / "ledger.jsonl"
    return ledger.read_bytes().count(b"\n") if ledger.exists() else 0


def until(process: subprocess.Popen, out: Path, commits: int) -> None:
    deadline = time.monotonic() + 90
    while lines(out) < commits:
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            pytest.fail(f"{lines(out)} of {commits} commits: {process.communicate()[1]}")
        time.sleep(0.005)


def test_worker_driver_and_node_are_killed_and_nothing_is_lost(cluster, recordings, whole, tmp_path):
    out = tmp_path / "out"
    driver = begin(recordings, out, cluster.address)
    until(driver, out, 1)
    worker = cluster.actors()[0]
    worker.kill()
    until(driver, out, 4)  # the other worker goes on
    driver.send_signal(signal.SIGKILL)
    driver.communicate()
    committed = lines(out)
    assert 4 <= committed < ITEMS

    driver = begin(recordings, out, cluster.address)
    until(driver, out, committed + 2)
    cluster.kill(1)
    assert lines(out) < ITEMS
    told, noise = driver.communicate(timeout=120)
    assert driver.returncode == 0, noise
    summary = json.loads(told)
    assert (summary["skipped"], summary["scored"], summary["failed"]) == (committed, ITEMS - committed, 0)
    assert "Traceback" not in noise
    assert [row["status"] for row in read_items(out)] == ["done"] * ITEMS
    assert archives.content(out) == whole

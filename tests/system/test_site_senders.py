"""Hostile senders of features against a running site: it stays small, others are served, and so is who comes next."""

from __future__ import annotations

import contextlib
import math
import os
import struct
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

for library in ("yaml", "fastapi", "uvicorn", "urllib3", "prometheus_client", "onnxruntime"):
    pytest.importorskip(library, reason=f"punctum serve needs {library}")

from punctum.runtime.sources.framing import RECORD_STRUCT, encode_end, encode_header, encode_record  # noqa: E402

from tests.helpers.site_senders import DIM, ROWS, STRIDE_S, TOKEN, Paced, dial, head, send  # noqa: E402
from tests.helpers.sites import Site, open_files  # noqa: E402

pytestmark = pytest.mark.slow
DEMO = Path(__file__).parents[2] / "runtime" / "assets" / "demo"
MOST_LINES = 60  # of the log for one attack
MOST_MB = 400.0  # more than before an attack, of all processes together
RECORD = encode_record(ROWS[:5])


class Attacked:
    """A site with a camera that is attacked, one that needs a token, and one whose sender is honest."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.clock = folder, 0.0
        (folder / "token").write_bytes(TOKEN)
        cameras = {
            name: {"source": f"unix://{self.path(name)}", "bundles": ["demo"], "min_score": 0.0, "reconnect_s": 2.0}
            for name in ("door", "gate", "hall")
        }
        cameras["gate"]["token"] = {"file": "token"}
        sinks = {"file": {"type": "jsonl", "path": "events.jsonl"}}
        self.site = Site(folder, {"bundles": {"demo": {"path": str(DEMO)}}, "cameras": cameras, "sinks": sinks})
        self.site.start()
        self.honest = Paced(self.path("hall"))
        self.honest.start()
        self.site.until(lambda: self.snippets("hall") > 0, 120)

    def path(self, camera: str) -> Path:
        return self.folder / camera

    def camera(self, name: str) -> dict:
        return self.site.get(f"/cameras/{name}")

    def engine(self, name: str) -> dict:
        return self.camera(name)["stats"].get("engine demo", {})

    def snippets(self, name: str) -> int:
        return self.engine(name).get("snippets", 0)

    def processes(self) -> list[int]:
        """The service and its children."""
        found = [self.site.process.pid]
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError, ValueError, IndexError):
                if entry.name.isdigit() and int((entry / "stat").read_text().rpartition(")")[2].split()[1]) == found[0]:
                    found.append(int(entry.name))
        return found

    def size(self) -> tuple[int, float]:
        """Descriptors and megabytes of all processes."""
        files, megabytes = 0, 0.0
        for pid in self.processes():
            with contextlib.suppress(OSError, IndexError):
                files += open_files(pid)
                megabytes += (
                    int((Path("/proc") / str(pid) / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
                )
        return files, megabytes

    def served(self, name: str, seconds: float = 240.0) -> None:
        """An honest sender comes, as often as it has to, until its features have arrived."""
        self.clock += 1000.0
        token = TOKEN if name == "gate" else None

        def attempt() -> bool:
            before = self.snippets(name)
            with contextlib.suppress(OSError), dial(self.path(name), 5.0) as client:
                client.sendall(head(self.clock, token=token) + encode_record(ROWS[:100]))
                end = time.monotonic() + 15.0
                while time.monotonic() < end:
                    if (
                        self.snippets(name) >= before + 100
                        and abs(self.engine(name)["now_s"] - self.clock - 10.0) < 1.0
                    ):
                        client.sendall(encode_record(ROWS[100:200]))
                        return True
                    time.sleep(0.3)
            return False

        self.site.until(attempt, seconds, every_s=0.5)

    def close(self) -> None:
        self.honest.stop()
        self.site.close()


@pytest.fixture(scope="module")
def attacked(tmp_path_factory) -> Iterator[Attacked]:
    one = Attacked(tmp_path_factory.mktemp("s"))
    yield one
    one.close()


def record(count: int, size: int, payload: bytes = b"", at: float = math.nan, kind: int = 1) -> bytes:
    """A record that says anything, with the right checksum."""
    start = RECORD_STRUCT.pack(kind, count, at, size)
    return start + struct.pack("<I", zlib.crc32(payload, zlib.crc32(start))) + payload


def garbage(door: Path, clock: float) -> None:
    for seed in range(30):
        send(door, np.random.default_rng(seed).bytes(5000))
        send(door, head(clock), np.random.default_rng(seed).bytes(5000))
        send(door, head(clock), RECORD, np.random.default_rng(seed).bytes(5000))


def slow_headers(door: Path, clock: float) -> None:
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(dial(door)) for _ in range(20)]
        for n in range(8):
            for client in clients:
                with contextlib.suppress(OSError):
                    client.sendall(head(clock)[n : n + 1])
            time.sleep(0.3)


def five_hundred_connections(door: Path, clock: float) -> None:
    with contextlib.ExitStack() as stack:
        for n in range(500):
            client = stack.enter_context(dial(door))
            with contextlib.suppress(OSError):
                client.sendall(b"PN" if n % 2 else head(clock))


def a_second_sender(door: Path, clock: float) -> None:
    with dial(door) as first, dial(door) as second:
        first.sendall(head(clock) + RECORD)
        for _ in range(20):
            with contextlib.suppress(OSError):
                second.sendall(head(clock + 50.0) + RECORD)
            first.sendall(RECORD)
            time.sleep(0.05)


def huge_numbers(door: Path, clock: float) -> None:
    for dim in (1, DIM + 1, 1 << 22, 0xFFFFFFFF, 0):
        send(door, encode_header(dim=dim, stride_s=STRIDE_S))
    for stride_s in (0.0, -1.0, 1e-300, 1e300, math.inf, math.nan):
        send(door, encode_header(dim=DIM, stride_s=stride_s))
    for count, size in ((0xFFFFFFFF, 0xFFFFFFFF), (0xFFFFFFFF, 16), (1 << 27, 0), (524_288, 16 << 20), (1, 16 << 20)):
        send(door, head(clock), RECORD, record(count, size))


def no_numbers(door: Path, clock: float) -> None:
    for n, value in enumerate((np.nan, np.inf, -np.inf, 3e38, -3e38)):
        rows = ROWS[:50].copy()
        rows[::7] = value
        send(door, head(clock + 20.0 * n), *[encode_record(rows)] * 4, encode_record(np.full((50, DIM), value)))


def time_backwards(door: Path, clock: float) -> None:
    for at in (clock, clock - 500.0, -1e9, clock + 1.0, 0.0, clock - 0.1):
        send(door, head(clock + 100.0), RECORD, *[encode_record(ROWS[:5], at=at)] * 50)
    for start_s in (0.0, -1e9, clock - 1.0):
        send(door, head(start_s), RECORD)


def time_far_forward(door: Path, clock: float) -> None:
    parts = [encode_record(ROWS[:5], at=clock + 10.0**n) for n in range(1, 10)]
    send(door, head(clock), *parts, encode_record(ROWS[:5], at=1.7e10))
    send(door, head(1.7e10), RECORD)


def no_end_of_a_frame(door: Path, clock: float) -> None:
    with dial(door) as client, contextlib.suppress(OSError):
        client.sendall(head(clock) + RECORD + record(524_288, 16 << 20)[:24])
        for _ in range(40):
            client.sendall(bytes(1 << 18))
            time.sleep(0.02)


def a_thousand_disconnects(door: Path, clock: float) -> None:
    for n in range(1000):
        send(door, head(clock + n), RECORD, RECORD[: 30 + n % 60])


def a_thousand_times_as_fast(door: Path, clock: float) -> None:
    with dial(door) as client, contextlib.suppress(OSError):
        client.sendall(head(clock))
        rows = np.tile(ROWS, (8, 1))
        end = time.monotonic() + 8.0
        while time.monotonic() < end:
            client.sendall(encode_record(rows))


def records_of_hours(door: Path, clock: float) -> None:
    """What arrived is processed, as fast as that is possible, and others wait for it."""
    rows = np.resize(ROWS, ((1 << 20) // (4 * DIM), DIM))
    with dial(door) as client, contextlib.suppress(OSError):
        client.settimeout(5.0)
        client.sendall(head(clock) + encode_record(rows))


def empty_records(door: Path, clock: float) -> None:
    with dial(door) as client, contextlib.suppress(OSError):
        client.settimeout(10.0)
        client.sendall(head(clock) + encode_record(np.zeros((0, DIM))) * 20_000 + RECORD)
        client.sendall(b"".join(encode_record(np.zeros((0, DIM)), at=clock + n) for n in range(200)))


def ends_at_once(door: Path, clock: float) -> None:
    for n in range(5):
        send(door, head(clock + n), encode_end())
        send(door, head(clock + n), RECORD, encode_end())


ATTACKS = (
    garbage,
    slow_headers,
    five_hundred_connections,
    a_second_sender,
    huge_numbers,
    no_numbers,
    time_backwards,
    no_end_of_a_frame,
    a_thousand_disconnects,
    a_thousand_times_as_fast,
    empty_records,
    records_of_hours,
    ends_at_once,
    time_far_forward,
)


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_harms_nobody_else(attacked, attack: Callable[[Path, float], None]):
    attacked.served("door")
    files, megabytes = attacked.size()
    lines, hall = len(attacked.site.text().splitlines()), attacked.snippets("hall")
    attack(attacked.path("door"), attacked.clock + 100.0)
    assert attacked.size()[1] < megabytes + MOST_MB
    attacked.clock += 10_000.0  # behind all that the attack may have sent
    attacked.served("door")
    after = attacked.site.text().splitlines()[lines:]
    assert len(after) < MOST_LINES, "\n".join(after[:200])
    assert "Traceback" not in "\n".join(after)
    attacked.site.until(lambda: attacked.size()[0] <= files + 20, 30)
    attacked.site.until(lambda: attacked.snippets("hall") > hall, 30)
    assert attacked.camera("hall")["state"] == "running"
    assert attacked.camera("hall")["losses"] == {}


def test_senders_without_the_token_are_counted(attacked):
    attacked.served("gate")
    lines = len(attacked.site.text().splitlines())
    gate = attacked.path("gate")
    clock = attacked.clock + 100.0
    for token in (None, b"x", b"a token of the gatf", TOKEN + b"x", TOKEN[:-1]):
        for _ in range(20):
            send(gate, head(clock, token=token), RECORD)
    attacked.site.until(lambda: attacked.camera("gate")["stats"]["refused"].get("token", 0) >= 100, 30)
    attacked.served("gate")
    assert len(attacked.site.text().splitlines()) < lines + MOST_LINES
    assert TOKEN.decode() not in attacked.site.text()

"""Event files that are whole at any time, and a queue that gives up provisional events first."""

from __future__ import annotations

import itertools
import resource
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from punctum.runtime.errors import InputError
from punctum.runtime.events.event import Event
from punctum.runtime.sinks import to_jsonl
from punctum.runtime.sinks.lines import EventFile
from punctum.runtime.sinks.mqtt import EventQueue, MqttTarget

EVENT = Event("cam", "cam/0", 0, "final", "wave", 0.5, 1.0, 2.0, 3.0, 1.0, "b-1")


def events(n: int, phase: str = "final") -> list[Event]:
    return [replace(EVENT, id=f"cam/{i}", phase=phase) for i in range(n)]


def test_append_repair_and_cut(tmp_path):
    path = tmp_path / "deep" / "e.jsonl"
    sink = EventFile(path)
    sink.write(events(3))
    first = sink.length
    sink.close()
    assert path.read_text() == to_jsonl(events(3))
    with path.open("a") as file:
        file.write('{"schema":"punctum.event/1","stre')
    sink = EventFile(path)
    assert sink.length == first
    sink.write(events(1, "open"))
    sink.close()
    assert path.read_text() == to_jsonl([*events(3), *events(1, "open")])
    EventFile(path, keep_bytes=first).close()
    assert path.read_text() == to_jsonl(events(3))
    with pytest.raises(InputError, match="snapshot was made after"):
        EventFile(path, keep_bytes=first + 1)


@pytest.mark.parametrize("cut", [1, 10, 28, 60])
def test_a_first_line_that_was_cut(tmp_path, cut):
    path = tmp_path / "e.jsonl"
    path.write_text(EVENT.to_json()[:cut])
    EventFile(path).close()
    assert path.read_bytes() == b""


def test_other_files_are_left_alone(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("remember the milk")
    with pytest.raises(InputError, match="other than events"):
        EventFile(path)
    assert path.read_text() == "remember the milk"
    with pytest.raises(InputError):
        EventFile(tmp_path)


def test_one_writer_a_file(tmp_path):
    sink = EventFile(tmp_path / "e.jsonl")
    with pytest.raises(InputError, match="Another process"):
        EventFile(tmp_path / "e.jsonl")
    sink.close()
    EventFile(tmp_path / "e.jsonl").close()


def test_a_full_disk_leaves_whole_lines(tmp_path):
    """A limit on the size of files stands in for a full disk: the same short write, then an error."""
    path = tmp_path / "e.jsonl"
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from punctum.runtime.errors import PunctumError\n"
        "from punctum.runtime.events.event import Event\n"
        "from punctum.runtime.sinks.lines import EventFile\n"
        "sink = EventFile(Path(sys.argv[1]))\n"
        "try:\n"
        "    for i in range(100):\n"
        "        sink.write([Event('cam', f'cam/{i}', 0, 'final', 'wave', 0.5, 1.0, 2.0, 3.0, 1.0, 'b-1')])\n"
        "except PunctumError as error:\n"
        "    print(i, error.code, error.exit_code)\n"
    )

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))

    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, preexec_fn=limit, timeout=60
    )
    count, error, status = done.stdout.split()
    assert (error, status) == ("events-write-failed", "1")
    lines = path.read_text().splitlines()
    assert 0 < int(count) == len(lines)
    assert [Event.from_json(line).id for line in lines] == [f"cam/{i}" for i in range(len(lines))]


@given(st.lists(st.booleans(), max_size=60), st.integers(1, 12))
def test_a_full_queue_gives_up_provisional_events_first(finals, bound):
    queue = EventQueue(bound)
    for i, final in enumerate(finals):
        queue.put(str(i).encode(), final=final)
        assert len(queue) <= bound
    kept = list(iter(queue.get, None))
    assert queue.dropped_provisional + queue.dropped_final + len(kept) == len(finals)
    assert sum(1 for final, _ in kept if final) == min(sum(finals), bound)
    order = [int(payload) for _, payload in kept]
    assert order == sorted(order)
    if kept and queue.dropped_final:
        assert all(final for final, _ in kept) or not finals[-1]


def test_queue_between_puts_and_gets():
    queue, serial = EventQueue(3), itertools.count()
    for final in (False, True, False):
        queue.put(str(next(serial)).encode(), final=final)
    assert queue.get() == (False, b"0")
    for final in (True, True, True):
        queue.put(str(next(serial)).encode(), final=final)
    assert (queue.dropped_provisional, queue.dropped_final, queue.finals()) == (1, 1, 3)


def test_a_long_topic_is_refused_in_a_short_message():
    for length in (60_001, 70_000):
        with pytest.raises(InputError, match="up to 60000 bytes") as caught:
            MqttTarget.parse("mqtt://broker/" + "x" * length)
        assert len(str(caught.value)) < 400


def test_mqtt_addresses(monkeypatch):
    assert MqttTarget.parse("mqtt://broker/a/b") == MqttTarget("broker", 1883, "a/b")
    assert MqttTarget.parse("mqtts://u:p%40@broker:99/a") == MqttTarget("broker", 99, "a", "u", "p@", True)
    monkeypatch.setenv("PUNCTUM_MQTT_PASSWORD", "secret")
    assert MqttTarget.parse("mqtt://u@broker/a").password == "secret"
    for wrong in (
        "broker/a",
        "http://b/a",
        "mqtt://b",
        "mqtt://b/",
        "mqtt://b/a/%23",
        "mqtt://b/a#",
        "mqtt://b/a?",
        "mqtt://b/+",
        "mqtt://b:x/a",
    ):
        with pytest.raises(InputError):
            MqttTarget.parse(wrong)
    with pytest.raises(InputError) as caught:
        MqttTarget.parse("mqtt://user:hunter2@broker")
    assert "hunter2" not in str(caught.value)


def test_folder_is_no_event_file(tmp_path: Path):
    with pytest.raises(InputError, match="Cannot open"):
        EventFile(tmp_path)


@pytest.mark.parametrize("topic", ["$SYS/broker", "%24share/a", "a/%01b", "a/%7f", "a%C2%85", "a/%EF%BF%BE", "a/%00"])
def test_topics_that_brokers_refuse(topic):
    with pytest.raises(InputError, match="not a topic to publish on") as caught:
        MqttTarget.parse(f"mqtt://broker/{topic}")
    assert caught.value.code == "mqtt-topic"


def test_a_dollar_inside_a_topic_is_usual():
    assert MqttTarget.parse("mqtt://broker/site/$cam/\u00e4").topic == "site/$cam/\u00e4"

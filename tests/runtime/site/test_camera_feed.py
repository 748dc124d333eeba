"""The feed of a camera whose sender decides what comes: messages stay small, and none is without content."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from punctum.runtime.site.camera.feed import MOST_OUTSTANDING, MOST_ROWS, Feed
from punctum.runtime.sources.items import Chunk

DIM, STRIDE_S = 3, 0.5


class Sent:
    """Takes the place of a channel."""

    def __init__(self) -> None:
        self.headers: list[dict[str, Any]] = []

    def send(self, header: dict[str, Any], payload: bytes = b"") -> None:
        self.headers.append(header | {"bytes": len(payload)})


def make(*, waits: bool) -> tuple[Feed, Sent]:
    sent = Sent()
    feed = Feed("features", sent, STRIDE_S, False, True, threading.Event(), waits=waits)  # type: ignore[arg-type]
    return feed, sent


def chunk(rows: int, lost: tuple[tuple[int, int], ...] = ()) -> Chunk:
    return Chunk(np.zeros((rows, DIM), np.float32), None, "here", {}, lost=lost)


def test_long_records_become_several_messages_without_a_gap():
    feed, sent = make(waits=True)
    feed.chunk(chunk(2 * MOST_ROWS + 7, ((MOST_ROWS + 1, 4),)), 100.0, None)
    assert [one["rows"] for one in sent.headers] == [MOST_ROWS, MOST_ROWS, 7]
    assert [one["at"] for one in sent.headers] == [100.0 + STRIDE_S * MOST_ROWS * n for n in range(3)]
    assert [one["lost"] for one in sent.headers] == [[], [[1, 4]], []]
    assert feed.next_s == 100.0 + STRIDE_S * (2 * MOST_ROWS + 7)


def test_sources_of_this_machine_are_passed_on_as_they_are():
    feed, sent = make(waits=False)
    feed.chunk(chunk(2 * MOST_ROWS), 100.0, None)
    feed.chunk(chunk(0), None, None)
    assert [one["rows"] for one in sent.headers] == [2 * MOST_ROWS, 0]


def test_records_that_say_nothing_are_left_out():
    feed, sent = make(waits=True)
    feed.chunk(chunk(4), 100.0, None)
    for _ in range(10 * MOST_OUTSTANDING):
        feed.chunk(chunk(0), None, None)
        feed.chunk(chunk(0), 50.0, None)
    assert feed.next_s == 102.0
    feed.chunk(chunk(0), 110.0, None)  # a gap is declared
    assert [(one["rows"], one["at"]) for one in sent.headers] == [(4, 100.0), (0, 110.0)]

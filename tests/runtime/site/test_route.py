"""Features on their way to an engine: nothing is lost while the engine starts again, and what is dropped is counted."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from punctum.runtime.site.supervisor.route import IN_FLIGHT, Route

STRIDE = 0.16
ROWS = 2


class Engine:
    """Stores what it is sent, in order, unless it has just ended."""

    def __init__(self) -> None:
        self.inbox: list[dict] = []
        self.stored: list[int] = []

    def send(self, header: dict, payload: bytes) -> None:
        self.inbox.append(header)


def make_route(engine: Engine, *, bound: int | None) -> tuple[Route, list[int]]:
    credits: list[int] = []
    return Route("hall", "features", STRIDE, bound, engine.send, credits.append), credits


def chunk(seq: int) -> dict:
    return {"type": "chunk", "seq": seq, "at": seq * ROWS * STRIDE, "rows": ROWS, "position": {"row": ROWS * (seq + 1)}}


def test_at_most_a_few_are_on_their_way():
    engine = Engine()
    route, _ = make_route(engine, bound=None)
    route.opened(None, None)
    for seq in range(10):
        route.chunk(chunk(seq), b"")
    assert [header["seq"] for header in engine.inbox] == list(range(IN_FLIGHT))
    route.taken(1)
    assert [header["seq"] for header in engine.inbox] == list(range(IN_FLIGHT + 2))
    assert route.now_s == 2 * ROWS * STRIDE
    assert route.position == {"row": 4}


def test_the_oldest_that_were_not_sent_are_dropped():
    engine = Engine()
    route, credits = make_route(engine, bound=5 * ROWS)
    for seq in range(8):
        route.chunk(chunk(seq), b"")
    assert route.rows == 5 * ROWS
    assert route.dropped == 3 * ROWS
    assert credits == [0, 1, 2]
    route.opened(None, None)
    assert [header["seq"] for header in engine.inbox] == [3, 4, 5, 6]


def test_what_the_engine_stored_before_it_ended_is_not_sent_again():
    engine = Engine()
    route, credits = make_route(engine, bound=None)
    route.opened(None, None)
    for seq in range(4):
        route.chunk(chunk(seq), b"")
    route.lost_engine()
    engine.inbox.clear()
    route.opened(2 * ROWS * STRIDE, {"row": 4})
    assert [header["seq"] for header in engine.inbox] == [2, 3]
    assert credits == [0, 1]


@settings(max_examples=40)
@given(st.lists(st.sampled_from(["chunk", "begin", "store", "crash", "crash after storing"]), max_size=60))
def test_every_chunk_is_stored_once_whatever_happens_to_the_engine(steps: list[str]):
    engine, seq = Engine(), 0
    route, credits = make_route(engine, bound=None)
    route.opened(None, None)
    for step in steps:
        if step == "chunk":
            route.chunk(chunk(seq), b"")
            seq += 1
        elif step == "begin":
            route.begin({"start_s": 0.0})
        elif step == "store":
            store(engine, route, answer=True)
        else:
            if step == "crash after storing":
                store(engine, route, answer=False)
            route.lost_engine()
            engine.inbox.clear()
            done = len(engine.stored)
            route.opened(done * ROWS * STRIDE if done else None, None)
    while route.rows:
        store(engine, route, answer=True)
    assert engine.stored == list(range(seq))
    assert sorted(credits) == list(range(seq))


def store(engine: Engine, route: Route, *, answer: bool) -> None:
    while engine.inbox:
        header = engine.inbox.pop(0)
        if header["type"] == "chunk":
            engine.stored.append(header["seq"])
            if answer:
                route.taken(header["seq"])
            return


def test_empty_chunks_are_credited_and_count_as_on_their_way():
    """A sender may declare times without features: each has a number that its process waits for."""
    engine = Engine()
    route, credits = make_route(engine, bound=None)
    route.opened(None, None)
    for seq in range(10):
        route.chunk({**chunk(seq), "rows": 0}, b"")
    assert len(engine.inbox) == IN_FLIGHT
    for seq in range(10):
        route.taken(seq)
    assert credits == list(range(10))
    route.chunk({**chunk(10), "rows": 0}, b"")
    route.clear()
    assert credits == list(range(11))

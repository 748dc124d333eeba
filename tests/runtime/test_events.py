"""Event lines that are wrong: one clear error, whatever is in them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from punctum.runtime import Event, InputError

GOOD = Event("s", "s/a/1/0", 0, "final", "a", 0.5, 1.0, 2.0, 2.5, 0.5, "b", start_utc="2026-05-01T10:00:00.000Z")
WRONG = [None, [], {}, "x", True, 10**400, -1.5, "\ud800"]


@given(st.sampled_from(sorted(json.loads(GOOD.to_json()))), st.sampled_from(WRONG))
def test_a_field_of_another_type_is_refused_or_means_something(name, value):
    line = json.dumps(json.loads(GOOD.to_json()) | {name: value})
    try:
        event = Event.from_json(line)
    except InputError as error:
        assert error.code in ("event-invalid", "event-unreadable", "event-schema")
        assert len(str(error)) < 800
    else:
        assert Event.from_json(event.to_json()) == event


@pytest.mark.parametrize(
    "line", ["", "{", "[]", "7", "null", '"x"', "[" * 100_000, '{"schema":"punctum.event/1"}', "9" * 5000]
)
def test_what_is_no_event_is_refused(line):
    with pytest.raises(InputError):
        Event.from_json(line)


def test_unknown_fields_are_ignored_and_old_lines_read():
    record = json.loads(GOOD.to_json()) | {"later": 1}
    assert Event.from_json(json.dumps(record)) == GOOD
    for name in ("start_utc", "end_utc", "ended", "dropped", "interrupted", "degraded"):
        del record[name]
    assert Event.from_json(json.dumps(record)).start_utc is None


def test_a_missing_field_is_named():
    with pytest.raises(InputError, match="no field 'event'"):
        Event.from_json('{"schema":"punctum.event/1","stream":"s"}')

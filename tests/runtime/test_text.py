"""Text from files on a terminal, in messages and in results."""

from __future__ import annotations

import json
import os

import pytest
from punctum.runtime.events.event import Event
from punctum.runtime.text.display import amount, as_utf8, counted, json_safe, plain, printable, seconds, short, some


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("wave", "wave"),
        ("Größe 中文 été\u00a0x", "Größe 中文 été\u00a0x"),
        ("می\u200cخواهم 👩\u200d🔧", "می\u200cخواهم 👩\u200d🔧"),  # joiners belong to the word
        ("\x1b[2J", "\\x1b[2J"),
        ("\x9b31m", "\\x9b31m"),
        ("a\nb\tc\r", "a\\nb\\tc\\r"),
        ("\u202egpj.exe", "\\u202egpj.exe"),
        ("\u2066x\u2069", "\\u2066x\\u2069"),
        ("\u2028", "\\u2028"),
        ("\x7f\x00", "\\x7f\\x00"),
        (os.fsdecode(b"bad\xff"), "bad\\xff"),
        ("\ud800", "\\ud800"),
        ("\U000e0041", "\\U000e0041"),
    ],
)
def test_printable(text, shown):
    assert printable(text) == shown
    as_utf8(text).encode()
    assert json.loads(json_safe(json.dumps(text, ensure_ascii=False))) == text
    assert printable(json_safe(json.dumps(text, ensure_ascii=False))).isascii() or shown == text


def test_a_label_cannot_drive_a_terminal():
    event = Event("cam", "1", 0, "final", "\x9b31m\u202elift", 0.5, 0, 1, 1, 0, "b")
    line = event.to_json()
    assert printable(line) == line
    line.encode()
    assert Event.from_json(line) == event
    Event("cam", "1", 0, "final", "\ud800", 0.5, 0, 1, 1, 0, "b").to_json().encode()
    # Ordinary text stays as it is.
    assert "hinfällt" in Event("cam", "1", 0, "final", "hinfällt", 0.5, 0, 1, 1, 0, "b").to_json()


def test_messages_of_libraries():
    colored = "\x1b[31mFailed\x1b[0m to export\n\x1b[96mthe model\x1b[0m \x1b]0;title\x07"
    assert plain(RuntimeError(colored)) == "Failed to export the model"
    assert plain(ValueError("")) == ""


def test_numbers():
    assert (counted(0, "event"), counted(1, "event"), counted(2, "class", "classes")) == (
        "0 events",
        "1 event",
        "2 classes",
    )
    assert [amount(x) for x in (0.0, 0.567, 17.64, 400.0, 1300.0, 5960.2)] == [
        "0",
        "0.567",
        "17.6",
        "400",
        "1300",
        "5960",
    ]
    assert (short(19.400000000000002), short(0.1 + 0.2), short(3), short(1e-7)) == ("19.4", "0.3", "3", "1e-07")


def test_long_lists_and_large_numbers_are_short():
    assert some(["a", "b"]) == "a, b"
    assert some(map(str, range(300)), 3) == "0, 1, 2 and 297 more"
    assert (seconds(1.5), seconds(-0.25), seconds(1e308)) == ("1.500", "-0.250", "1e+308")


def test_nothing_prints_past_the_functions_that_escape():
    """Warnings go through `runtime/text/warning_lines.py`, commands through `runtime/cli/terminal.py`."""
    import ast
    from pathlib import Path

    root = Path(__file__).parent.parent.parent
    allowed = {
        "runtime/text/warning_lines.py",
        "runtime/cli/terminal.py",
        "runtime/cli/_process.py",
        "export/triton/client.py",  # a file that is copied to the user, who has no punctum
    }
    found = []
    for folder in ("runtime", "training", "export"):
        for path in sorted((root / folder).rglob("*.py")):
            name = path.relative_to(root).as_posix()
            for node in ast.walk(ast.parse(path.read_text())):
                if not isinstance(node, ast.Call):
                    continue
                called = ast.unparse(node.func)
                if called in ("print", "typer.echo", "typer.secho") and name not in allowed:
                    found.append(f"{name}:{node.lineno}")
    assert not found

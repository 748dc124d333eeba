"""`punctum --help`: every command stands in a panel, in the order in which somebody needs them."""

from __future__ import annotations

import re

import pytest
from punctum.runtime.cli import invoke
from punctum.runtime.cli._app import _PANELS, build


def test_every_command_is_in_one_panel(capsys: pytest.CaptureFixture[str]):
    pytest.importorskip("typer")
    named = [name for names in _PANELS.values() for name in names]
    assert len(named) == len(set(named))
    commands = build().commands
    assert set(commands) <= set(named)
    assert list(commands) == [name for name in named if name in commands]
    assert invoke(["--help"]) == 0
    said = capsys.readouterr().out
    assert [said.index(panel) for panel in _PANELS] == sorted(said.index(panel) for panel in _PANELS)
    assert re.search(r"│ label .*│ train .*│ run ", said, re.S)


def test_one_command_alone_is_built(capsys: pytest.CaptureFixture[str]):
    assert list(build(["run"]).commands) == ["run"]
    assert invoke(["data", "--help"]) == 0
    assert "merge" in capsys.readouterr().out

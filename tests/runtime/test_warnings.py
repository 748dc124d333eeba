"""Errors and warnings of the library, and what the command line makes of them."""

from __future__ import annotations

import logging
import pickle
import subprocess
import sys
from typing import Annotated

import pytest
import typer
from punctum.runtime.cli._parameters import COMMAND_NAMES, in_options, option_names
from punctum.runtime.errors import InputError, MissingDependencyError, PunctumError, SourceLostError
from punctum.runtime.text.warning_lines import warning_lines


def test_an_error_has_up_to_three_sentences():
    error = InputError("x", "The bundle has no center scorer", required="a bundle with one.", next_step="export again")
    assert str(error) == "The bundle has no center scorer. Required: a bundle with one. Next: export again."
    assert error.expected == "Required: a bundle with one."
    assert str(PunctumError("x", "`threads` is 0", "1 or more")) == "`threads` is 0. Allowed: 1 or more."
    assert str(PunctumError("x", "The disk is full.")) == "The disk is full."


def test_errors_cross_process_boundaries():
    for error in (SourceLostError("a", "b", "c", "d", required="e"), MissingDependencyError("av", "video", "input")):
        copy = pickle.loads(pickle.dumps(error))
        assert type(copy) is type(error)
        assert (str(copy), copy.code, copy.required) == (str(error), error.code, error.required)


def test_an_error_with_a_better_first_sentence():
    error = SourceLostError("a", "b", next_step="d", required="e").with_given("line 3: b")
    assert isinstance(error, SourceLostError)
    assert str(error) == "line 3: b. Required: e. Next: d."


def test_a_missing_dependency_is_required():
    error = MissingDependencyError("av", "video", "video input")
    assert "Required: an environment with av. Next: pip install 'punctum[video]'." in str(error)


def _command() -> object:
    app = typer.Typer()

    @app.command()
    def run(
        bundle: str,
        threads: int = 1,
        max_delay: float = 1.0,
        tf32: Annotated[bool, typer.Option("--tf32")] = False,
    ) -> None: ...

    return typer.main.get_command(app)


@pytest.mark.parametrize(
    ("message", "typed"),
    [
        ("`threads` is 0", "--threads is 0"),
        ("set `threads=2`", "set --threads 2"),
        ("`max_delay_s` of 3", "--max-delay of 3"),
        ("leave `tf32=True` out", "leave --tf32 out"),
        ("`bundle` is a file", "BUNDLE is a file"),
        ("`precision` is unknown", "`precision` is unknown"),
        ("run `punctum export`", "run `punctum export`"),
    ],
)
def test_the_command_line_names_its_own_options(message: str, typed: str):
    assert in_options(message, option_names(_command())) == typed


def test_every_name_of_the_library_belongs_to_a_command():
    from punctum.runtime.cli._app import build

    def parameters(command: object) -> set[str]:
        names = {p.name for p in command.params}
        return names.union(*(parameters(child) for child in getattr(command, "commands", {}).values()))

    assert set(COMMAND_NAMES.values()) <= parameters(build())


def test_a_command_replaces_parameters_in_errors(capsys, monkeypatch, tmp_path):
    from punctum.runtime.bundle.reader import Bundle
    from punctum.runtime.cli import invoke

    def fail(*arguments: object, **parameters: object) -> None:
        logging.getLogger("punctum.runtime.x").warning("`threads` is\nodd")
        raise InputError("x", "`min_score` is 2", "0 to 1")

    monkeypatch.setattr(Bundle, "load", fail)
    assert invoke(["run", str(tmp_path), str(tmp_path)]) == 2
    assert capsys.readouterr().err == "warning: --threads is\\nodd\nerror [x]: --min-score is 2. Allowed: 0 to 1.\n"


def test_warnings_are_lines_within_the_block_alone(capsys, caplog):
    logger = logging.getLogger("punctum.runtime.sources.listener")
    with warning_lines():
        logger.warning("cam \x1b[1m lost")
    assert capsys.readouterr().err == "warning: cam \\x1b[1m lost\n"
    logger.warning("outside")
    assert capsys.readouterr().err == ""
    assert caplog.messages == ["outside"]


def test_importing_the_library_configures_no_logging():
    code = (
        "import logging, punctum.runtime.sources.listener as module\n"
        "assert not logging.getLogger('punctum').handlers and not logging.getLogger().handlers\n"
        "module._log.warning('seen')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "seen\n"

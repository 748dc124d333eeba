"""Every error code that the source can raise is explained in docs/reference/errors.toml, and the page is current."""

from __future__ import annotations

import ast
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="module")
def errors() -> ModuleType:
    spec = importlib.util.spec_from_file_location("errors_page", ROOT / ".ci" / "errors.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_code_catalog_and_page_agree(errors: ModuleType) -> None:
    assert errors.differences() == []


def test_a_missing_and_an_unused_code_are_noticed(errors, monkeypatch):
    used = errors.used_codes()
    monkeypatch.setattr(errors, "used_codes", lambda: {**used, "no-such-code": ["runtime/x.py:1"]})
    assert errors.differences() == ["no-such-code is not in errors.toml (runtime/x.py:1)"]
    del used["bundle-missing"]
    monkeypatch.setattr(errors, "used_codes", lambda: used)
    assert errors.differences() == ["bundle-missing is in errors.toml, and nothing raises it"]


def test_codes_are_found_wherever_they_are_written(errors, monkeypatch):
    source = """
raise InputError("first", "given")
raise kind("second" if x else "third", "given")
def helper(where: str, code: str): return errors.PunctumError(code, where)
raise helper("x", "fourth")
refuse(context, code="fifth")
def checks(value, *, code: str = "sixth"): ...
raise InputError(f"{name}-x", "given")
report.warn("seventh", path, "message", "fix")
"""
    tree = ast.parse(source)
    takers = dict(errors._takers(tree))
    monkeypatch.setitem(errors.COMPOSED, "f'{name}-x'", ("eighth",))
    codes = {code for code, _ in errors._codes(tree, takers)}
    assert codes == {"first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth"}


def test_every_code_that_is_no_literal_is_declared(errors: ModuleType) -> None:
    written, unknown = set(), []
    for name, tree in errors.parsed().items():
        for node in ast.walk(tree):
            if not (isinstance(node, ast.Call) and errors.called_name(node) in errors.CLASSES and node.args):
                continue
            code = node.args[0]
            written.add(ast.unparse(code))
            known = isinstance(code, ast.Constant | ast.IfExp | ast.Name | ast.Attribute)
            if not known and ast.unparse(code) not in errors.COMPOSED:
                unknown.append(f"{name}:{node.lineno}: {ast.unparse(code)}")
    assert unknown == []
    assert errors.COMPOSED.keys() <= written


# Texts that callers complete to a sentence: "line 3 ...", "sender 1 sent ...".
FRAGMENTS = ("line ", "sent ", "record ", "declared a token of ", "manifest.json in ")


def _text(node: ast.AST) -> str:
    """A text in the source, with `?` for what is put into it."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(value) for value in node.values)
    return _text(node.left) + _text(node.right) if isinstance(node, ast.BinOp) else "?"


def _error_texts(errors: ModuleType) -> Iterator[tuple[str, bool, str]]:
    """(place, whether it is the first sentence, text) of every text that an error is given."""
    for name, tree in errors.parsed().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and errors.called_name(node) in errors.CLASSES:
                for number, argument in enumerate([*node.args[1:], *(k.value for k in node.keywords)]):
                    for part in (argument.body, argument.orelse) if isinstance(argument, ast.IfExp) else (argument,):
                        yield f"{name}:{part.lineno}", number == 0, _text(part)


def test_messages_begin_with_a_capital(errors: ModuleType) -> None:
    assert [
        (place, text)
        for place, first, text in _error_texts(errors)
        if first and text[:1].islower() and not text.startswith(FRAGMENTS)
    ] == []


def test_messages_of_the_library_name_parameters_and_no_options(errors: ModuleType) -> None:
    """Options of other programs, and of commands that are to be typed, are in a whole command."""
    commands = re.compile(r"`[^`]*`|(pip install|punctum build|punctum run|v4l2-ctl|ray start|server takes).*")
    assert [
        (place, text)
        for place, _, text in _error_texts(errors)
        if "/cli/" not in place and re.search(r"(?<!\w)--[a-z]", commands.sub("", text))
    ] == []

"""Every error code that the source can raise is explained in docs/reference/errors.toml, and the page is current."""

from __future__ import annotations

import ast
import importlib.util
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


def test_code_catalogue_and_page_agree(errors):
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


def test_every_code_that_is_no_literal_is_declared(errors):
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

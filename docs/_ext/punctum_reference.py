"""Sphinx extension: writes the generated pages, and resolves references to names of the public interface."""

from __future__ import annotations

import inspect
import itertools
import re
from pathlib import Path
from typing import Any

import c_pages
import cli_pages


def setup(app: Any) -> dict[str, Any]:
    """Called by Sphinx."""
    app.connect("builder-inited", _write)
    app.connect("missing-reference", _resolve)
    app.connect("autodoc-process-signature", _shorten)
    app.connect("autodoc-process-docstring", _prepare, priority=400)  # before napoleon
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def _write(app: Any) -> None:
    reference = Path(app.srcdir) / "reference"
    cli_pages.write_pages(reference / "cli")
    header = Path(app.srcdir).parent / "kernels" / "native" / "include" / "punctum.h"
    c_pages.write_page(header, reference / "c.md")


def _resolve(app: Any, environment: Any, node: Any, content: Any) -> Any:
    """A type by its bare name leads to the documented object of that name.

    In signatures, all other types stay plain text: those of other libraries, and those that are not public. A role in
    prose (`refwarn` is set) that cannot be resolved is still reported as a warning.
    """
    if node.get("refdomain") == "c":  # structures are shown as code
        return content
    if node.get("refdomain") != "py":
        return None
    target = str(node.get("reftarget", ""))
    last = target.rpartition(".")[2]
    domain = environment.get_domain("py")
    found = [name for name in domain.objects if name == last or name.endswith(f".{last}")]
    found = [name for name in found if domain.objects[name].objtype in ("class", "exception", "data", "function")]
    if node.get("reftype") in ("class", "exc", "obj", "data") and len(found) == 1:
        from sphinx.util.nodes import make_refnode

        entry = domain.objects[found[0]]
        return make_refnode(app.builder, node["refdoc"], entry.docname, entry.node_id, content.deepcopy(), found[0])
    return None if "refwarn" in node else content


def _prepare(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Docstrings as they are in the code -> what napoleon reads as meant."""
    if what in ("attribute", "property", "data"):
        lines[:0] = ["..", ""]  # or it takes the text before the first colon for a type
    rows = list(lines)
    lines.clear()
    for row, after in itertools.zip_longest(rows, rows[1:], fillvalue=""):
        lines.append(row)
        if row.startswith(" ") and after and not after.startswith(" "):
            lines.append("")


def _shorten(app: Any, what: str, name: str, thing: Any, options: Any, signature: str, returned: str) -> Any:
    """Arrays by their type alone. Models of pydantic take their fields as keywords, which are listed below."""
    if what == "class" and hasattr(thing, "model_fields"):
        return "(**fields)", None
    if what in ("exception", "class") and isinstance(thing, type) and issubclass(thing, BaseException):
        return str(inspect.signature(thing)).replace("'", "").replace(" -> None", ""), None
    return _plain_arrays(signature), _plain_arrays(returned)


def _plain_arrays(text: str | None) -> str | None:
    """`ndarray[tuple[Any, ...], dtype[float32]]` -> `ndarray[float32]`."""
    return text and re.sub(r"ndarray\[tuple\[[^]]*\], [\w.~]*dtype\[([^]]*)\]\]", r"ndarray[\1]", text)

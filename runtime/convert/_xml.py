"""XML from strangers, without what makes XML dangerous: no document types, no entities, no endless nesting."""

from __future__ import annotations

from xml.etree import ElementTree
from xml.parsers import expat

from ..errors import InputError
from ._options import Source

DEEPEST = 64


def parse_xml(source: Source, allowed: str) -> ElementTree.Element:
    """The root element. Raises InputError for what is not well-formed, and for any document type declaration.

    Entities that grow when they are expanded, and those that name files or addresses, need a document type to be
    declared in. No annotation tool writes one.
    """
    builder = ElementTree.TreeBuilder()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    depth = 0

    def refuse(*_: object) -> None:
        raise InputError(
            "xml-doctype",
            f"{source.name} line {parser.CurrentLineNumber} declares a document type or entities",
            f"{allowed}, without DOCTYPE",
            "export it again from the annotation tool",
        )

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > DEEPEST:
            raise source.wrong(f"line {parser.CurrentLineNumber}: more than {DEEPEST} elements in each other", allowed)
        builder.start(tag, attributes)

    def end(tag: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(tag)

    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = builder.data
    try:
        parser.Parse(source.data, True)
        return builder.close()
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise source.wrong(f"it is not XML ({error})", allowed) from None


def to_xml(root: ElementTree.Element) -> str:
    """Indented, with its declaration."""
    ElementTree.indent(root, "    ")
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"

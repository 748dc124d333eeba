"""Safe reading of untrusted XML: no document types, no entities, limited nesting."""

from __future__ import annotations

from xml.etree import ElementTree
from xml.parsers import expat

from ..errors import InputError
from ._options import Source

DEEPEST = 64


def parse_xml(source: Source, allowed: str) -> ElementTree.Element:
    """The root element. Raises InputError for malformed XML and for document type declarations.

    Entities that grow on expansion, or refer to files or addresses, require a document type declaration, which no
    annotation tool writes.
    """
    builder = ElementTree.TreeBuilder()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    depth = 0

    def refuse(*_: object) -> None:
        raise InputError(
            "xml-doctype",
            f"{source.name} line {parser.CurrentLineNumber} declares a document type or entities",
            required=f"{allowed}, without DOCTYPE",
            next_step="export it again from the annotation tool",
        )

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > DEEPEST:
            raise source.wrong(f"line {parser.CurrentLineNumber}: more than {DEEPEST} nested elements", allowed)
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
    """The text of an XML document, indented, with its declaration."""
    ElementTree.indent(root, "    ")
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"

"""Reference pages of the command line, made from the commands' own help."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

EXAMPLE = re.compile(r"^(?P<caption>[^\n]*?): (?P<command>(?:[\w-]+ \| )?punctum .+)$", re.S)
_CODE = re.compile(r"(`[^`]*`)")
_SPECIAL = re.compile(r"([\\*_<>|\[\]{}$#~])")


def commands() -> dict[str, Any]:
    """Every command by its full name: `run`, `data check`, ... in the order of `punctum --help`."""
    from punctum.runtime.cli._app import build

    return dict(_walk(build(), ""))


def _walk(group: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if getattr(command, "commands", None):
            yield from _walk(command, f"{prefix}{name} ")
        else:
            yield f"{prefix}{name}", command


def page_name(command: str) -> str:
    """`data check` -> `data-check`."""
    return command.replace(" ", "-")


def write_pages(folder: Path) -> None:
    """One page a command in `folder`. Pages of commands that no longer exist are removed, unchanged ones stay."""
    pages = {f"{page_name(name)}.md": page(name, command) for name, command in commands().items()}
    for old in folder.glob("*.md"):
        if old.name not in pages and old.name != "index.md":
            old.unlink()
    for name, text in pages.items():
        target = folder / name
        if not target.exists() or target.read_text(encoding="utf-8") != text:
            target.write_text(text, encoding="utf-8")


def page(name: str, command: Any) -> str:
    """Markdown of one command: what it does, usage, examples, arguments and options by group."""
    prose, examples = split_help(plain(command.help or ""))
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option" and not p.hidden]
    rows = [f"# punctum {name}", ""]
    for paragraph in prose:
        rows += [escape(paragraph), ""]
    usage = " ".join([f"punctum {name} [OPTIONS]", *(_shape(a) for a in arguments)])
    rows += ["```text", usage, "```", ""]
    if examples:
        rows += ["## Examples", ""]
        for caption, line in examples:
            rows += ([] if caption == "Example" else [f"{escape(caption)}:", ""]) + ["```bash", line, "```", ""]
    rows += [f"```{{program}} punctum {name}", "```", ""]
    if arguments:
        rows += ["## Arguments", ""]
        for argument in arguments:
            rows += [f"`{argument.name.upper()}` *({_kind(argument)})*", f": {_described(argument)}", ""]
    for panel in dict.fromkeys(p.rich_help_panel for p in options):
        rows += [f"## {panel or 'Options'}", ""]
        for option in (o for o in options if o.rich_help_panel == panel):
            rows += [f"````{{option}} {_signature(option)}", _described(option), "````", ""]
    return "\n".join(rows)


def split_help(text: str) -> tuple[list[str], list[tuple[str, str]]]:
    """Paragraphs of prose, and examples as (caption, command)."""
    prose, examples = [], []
    for paragraph in re.split(r"\n\s*\n", text.strip()):
        if found := EXAMPLE.match(paragraph):
            examples.append((found["caption"], " ".join(found["command"].split())))
        else:
            prose.append(paragraph)
    return prose, examples


def plain(text: str) -> str:
    """Help as it was written: the command line escapes brackets for Rich."""
    return text.replace("\\[", "[")


def escape(text: str) -> str:
    """Markdown that shows this text; words between backticks stay code."""
    parts = _CODE.split(" ".join(text.split()))
    return "".join(part if part.startswith("`") else _SPECIAL.sub(r"\\\1", part) for part in parts)


def _shape(argument: Any) -> str:
    shape = argument.name.upper() + ("..." if argument.nargs == -1 else "")
    return shape if argument.required else f"[{shape}]"


def _signature(option: Any) -> str:
    value = "" if option.is_flag else f" <{(option.metavar or _kind(option)).lower()}>"
    return ", ".join(f"{name}{value}" for name in (*option.opts, *option.secondary_opts))


def _kind(parameter: Any) -> str:
    """The type of a value, as one word."""
    annotation = parameter.type_descriptor.annotation
    names = {"str": "text", "Path": "path", "int": "integer", "float": "number", "bool": "true or false"}
    text = getattr(annotation, "__name__", str(annotation))
    inner = re.search(r"\[(\w+)\]", str(annotation))
    return names.get(inner[1] if inner and text == "list" else text, text)


def _described(parameter: Any) -> str:
    rows = [escape(plain(parameter.help or ""))]
    if parameter.param_type_name == "option" and parameter.required:
        rows.append("Required.")
    if parameter.min is not None or parameter.max is not None:
        bounds = [f"at least {parameter.min}" if parameter.min is not None else ""]
        bounds.append(f"at most {parameter.max}" if parameter.max is not None else "")
        rows.append(f"Range: {', '.join(b for b in bounds if b)}.")
    default = parameter.default
    if default not in (None, "") and default is not False and not callable(default):
        rows.append(f"Default: `{default}`.")
    if parameter.multiple and "repeated" not in rows[0]:
        rows.append("May be repeated.")
    return " ".join(row for row in rows if row)

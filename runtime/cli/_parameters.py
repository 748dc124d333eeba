"""Messages of the library, which name Python parameters in backticks, with the options of the command that runs."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

# `threads`, `threads=2`, `device="cuda"`. `punctum export` has a space and is no parameter.
_PARAMETER = re.compile(r"`([a-z][a-z0-9_]*)(?:=([^`]*))?`")

# Parameters of the library whose name differs from the parameter of the commands.
COMMAND_NAMES = {
    "allow_hosts": "allow_host",
    "bound": "mqtt_queue",
    "capabilities": "compute_capability",
    "formats": "format",
    "gpu_mem_limit": "gpu_memory",
    "gpus": "gpus_per_worker",
    "labels": "label",
    "rate": "fps",
    "rates": "fps",
    "replace_target": "replace",
    "source_form": "source",
    "target_form": "target",
    "tick_s": "tick",
    "transport": "rtsp_transport",
}

_options: dict[str, str] = {}  # of the command that runs, for warnings of any thread


def option_names(command: Any) -> dict[str, str]:
    """What the user types for each parameter of a command: `max_delay` -> --max-delay, `bundle` -> BUNDLE.

    Names of the library with a unit, such as `max_delay_s`, are included.
    """
    names = {}
    for parameter in command.params:
        typed = parameter.opts[0] if parameter.opts[0].startswith("-") else parameter.name.upper()
        names[parameter.name] = names[f"{parameter.name}_s"] = typed
    return names | {theirs: names[ours] for theirs, ours in COMMAND_NAMES.items() if ours in names}


def in_options(text: str, names: Mapping[str, str] | None = None) -> str:
    """A message with options instead of backticked parameters; those that the command does not have stay.

    Args:
        text: The message.
        names: Options by parameter; default: those of the command that runs.
    """
    options = _options if names is None else names

    def typed(match: re.Match[str]) -> str:
        option, value = options.get(match[1]), match[2]
        if option is None:
            return match[0]
        if value in (None, "", "True"):
            return option
        return f"{option} {value.strip(chr(34) + chr(39))}"

    return _PARAMETER.sub(typed, text)


def remember_options(command: Any) -> None:
    """Let every command below record its options when it starts."""
    for child in getattr(command, "commands", {}).values():
        remember_options(child)
    if command.callback is not None and not hasattr(command, "commands"):
        command.callback = _recording(command, command.callback)


def forget_options() -> None:
    """Before a command is known: no parameter is replaced."""
    _options.clear()


def _recording(command: Any, callback: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(callback)
    def recorded(*arguments: Any, **parameters: Any) -> Any:
        _options.clear()
        _options.update(option_names(command))
        return callback(*arguments, **parameters)

    return recorded

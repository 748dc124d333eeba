"""Fields of a backbone's spec file beyond those of `BackboneSpec`: "image" and "torch"."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TypedDict

from punctum.runtime.errors import InputError
from punctum.runtime.text.display import shown
from punctum.runtime.text.json_types import JsonObject, JsonValue

from .images import HOWS, How


class TorchOptions(TypedDict, total=False):
    """The field "torch": arguments of the factory, and the submodule that the identity replaces."""

    arguments: JsonObject
    drop: JsonValue


def image_option(record: JsonValue, path: Path) -> tuple[How | None, JsonValue]:
    """The field "image" (None: absent), and the rest of the record. Layout "NCHW" means an image network.

    Raises:
        InputError: the field has another value than "middle" or "mean".
    """
    if not isinstance(record, dict):
        return None, record  # refused where the rest is parsed
    rest = {**record, "layout": "NTCHW"} if record.get("layout") == "NCHW" else record
    if "image" not in record:
        return ("middle" if rest is not record else None), rest
    if record["image"] not in HOWS:
        raise InputError(
            "backbone-spec",
            f"{shown(path)}: image is {shown(json.dumps(record['image']), 80)}",
            " or ".join(f'"{how}"' for how in HOWS),
            "correct it",
        )
    return ("mean" if record["image"] == "mean" else "middle"), rest


def not_of_images(name: str, path: Path) -> InputError:
    """The error for a network of clips whose spec file describes an image network."""
    return InputError(
        "backbone-spec",
        f"{shown(path)} describes {name} as an image network, but it takes clips",
        "image and layout NCHW for networks of single images only",
        "leave out image, and set layout to NCTHW or NTCHW",
    )


def torch_options(record: JsonValue, path: Path) -> TorchOptions:
    """The field "torch": arguments of the factory, and the submodule to drop. Raises InputError for other content."""
    options = record.get("torch", {}) if isinstance(record, dict) else {}
    known = isinstance(options, dict) and set(options) <= {"arguments", "drop"}
    arguments = options.get("arguments", {}) if isinstance(options, dict) else None
    if not isinstance(options, dict) or not known or not isinstance(arguments, dict):
        raise InputError(
            "backbone-spec",
            f"{path}: torch is {json.dumps(options)[:80]}",
            '{"arguments": {...}, "drop": "name"}',
            "correct it",
        )
    return TorchOptions(arguments=arguments, drop=options.get("drop"))

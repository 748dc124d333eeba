"""Errors of pydantic as problems in the words of the configuration."""

from __future__ import annotations

from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

from ...text.display import counted, some
from .models import SiteConfig
from .problems import SINK_TYPES as TYPES
from .problems import Location, Places, Problem, given_text, suggestion


def problems_of(errors: list[Any], places: Places) -> list[Problem]:
    """The problems that errors of pydantic describe, each place once."""
    found: dict[Location, Problem] = {}
    for error in errors:
        problem = _problem(places.fields(error["loc"]), error, places)
        found.setdefault(problem.where, problem)
    # A part with a problem inside is also reported as a whole: by each form of a union, and as too short a list.
    inside = {where[:length] for where in found for length in range(len(where))}
    return [problem for where, problem in found.items() if where not in inside]


def _problem(where: Location, error: Any, places: Places) -> Problem:
    kind, context, value = error["type"], error.get("ctx", {}), error["input"]
    if kind == "missing":
        return Problem(where, "is missing", next_step="add it")
    if kind == "extra_forbidden":
        known = _fields_at(error["loc"][:-1], places)
        return Problem(where, "is not a field here", some(known, 40), suggestion(str(where[-1]), known) or "remove it")
    if error["loc"] and error["loc"][-1] == "[key]":
        allowed = "letters, digits, _ and -, at most 63, the first a letter or digit"
        return Problem(where, "cannot be a name", allowed, "choose another name")
    if kind == "union_tag_not_found":
        where = (*where, "type")
        return Problem(where, "is missing", next_step="add it", required=f"type, one of {some(TYPES)}")
    if kind == "union_tag_invalid":
        where = (*where, "type")
        given = str(context.get("tag", ""))
        advice = suggestion(given, TYPES) or "correct it"
        return Problem(where, f"is {given_text(where, None, given)}", some(TYPES), advice)
    given = given_text(where, places.node(where), value)
    allowed, next_step = _allowed(kind, context, value)
    if "a value that is not shown" in given and kind == "model_type":
        next_step = "keep the secret itself out of this file"
    return Problem(where, f"is {given}", allowed or str(error["msg"]).lower(), next_step)


_PLAIN = {
    "string_type": "text",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "dict_type": "fields and values",
    "tuple_type": "a list, such as [a, b]",
    "string_too_short": "text that is not empty",
}
_PATTERNS = {
    r"^([01]\d|2[0-3]):[0-5]\d$": "a time of day such as 08:00",
    r"^(([01]\d|2[0-3]):[0-5]\d|24:00)$": "a time of day such as 18:30, or 24:00",
}


def _allowed(kind: str, context: Any, value: Any) -> tuple[str, str]:
    """Permitted values and next step."""
    correct = "correct it"
    if kind in _PLAIN:
        text = _PLAIN[kind]
        hint = "put it in quotes" if kind == "string_type" and not isinstance(value, dict | tuple | None) else correct
        return text, hint
    if kind in ("model_type", "model_attributes_type"):
        name = context.get("class_name", "")
        return ("env: VARIABLE or file: PATH" if name == "Secret" else "fields and values"), correct
    bounds = {"greater_than_equal": ("ge", "or more"), "less_than_equal": ("le", "or less")}
    if kind in bounds:
        key, words = bounds[kind]
        return f"{context[key]:g} {words}", correct
    if kind == "greater_than":
        return f"more than {context['gt']:g}", correct
    if kind == "less_than":
        return f"less than {context['lt']:g}", correct
    if kind == "literal_error":
        expected = str(context["expected"]).replace("'", "").replace(" or ", ", ")
        return expected, suggestion(str(value), expected.split(", ")) or correct
    if kind == "string_pattern_mismatch":
        pattern = str(context["pattern"])
        return _PATTERNS.get(pattern, "letters, digits, _ and -, the first a letter or digit"), correct
    if kind in ("too_short", "too_long"):
        least, most = context.get("min_length"), context.get("max_length")
        return f"at least {counted(least, 'value')}" if kind == "too_short" else f"at most {most} values", correct
    if kind == "string_too_long":
        return f"at most {context['max_length']} characters", correct
    if kind == "missing_argument":
        return "two values, [x, y]", correct
    return "", correct


def _fields_at(where: tuple[Any, ...], places: Places) -> list[str]:
    """Names of the fields of the model at a location."""
    model: Any = SiteConfig
    for part in where:
        model = _below(model, part)
        if model is None:
            return []
    return list(model.model_fields) if isinstance(model, type) and issubclass(model, BaseModel) else []


def _below(kind: Any, part: Any) -> Any:
    """The type of a field, key or item below a type."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        found = kind.model_fields.get(str(part))
        return None if found is None else _core(found.annotation)
    options = [_core(option) for option in get_args(kind)]
    if isinstance(part, str):  # of a union: the type of a sink
        for option in options:
            typed = isinstance(option, type) and issubclass(option, BaseModel) and "type" in option.model_fields
            if typed and part in get_args(option.model_fields["type"].annotation):
                return option
    models = [option for option in options if not (isinstance(option, type) and not issubclass(option, BaseModel))]
    return models[-1] if models else None


def _core(kind: Any) -> Any:
    """A type without Annotated and None; the value type of a dict, the item type of a tuple at the end."""
    while True:
        origin, arguments = get_origin(kind), get_args(kind)
        if origin is Annotated:
            kind = arguments[0]
        elif origin in (Union, UnionType):
            rest = [one for one in arguments if one is not NoneType]
            if len(rest) > 1:
                return kind
            kind = rest[0]
        else:
            return kind

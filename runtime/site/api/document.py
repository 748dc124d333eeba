"""The OpenAPI document: what FastAPI makes of the routes, with the forms that it does not know."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel

from ..config.models import BundleConfig, CameraConfig
from .models import HelloForm, Problem, ReportForm

_FORM = "#/components/schemas/{model}"
# Answered before any route is reached, or by all of them.
_ALWAYS = "Any other error: 405 another method, 413 and 415 the body, 421 the host name, 500 a fault of the service."


def document(app: FastAPI) -> dict[str, Any]:
    """The document of an application, with bodies, tokens and problems."""
    if app.openapi_schema is None:
        made = get_openapi(
            title=app.title,
            version=app.version,
            description=app.description,
            routes=app.routes,
            openapi_version="3.1.0",
        )
        parts = made.setdefault("components", {})
        schemas = parts.setdefault("schemas", {})
        for kind in (CameraConfig, BundleConfig, HelloForm, ReportForm, Problem):
            _add(schemas, kind)
        for methods in made["paths"].values():
            for route in methods.values():
                _state_problems(route)
        # FastAPI names its own form of 422, which no route of this service sends.
        for name in ("HTTPValidationError", "ValidationError"):
            schemas.pop(name, None)
        parts["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        made["security"] = [{"token": []}]
        app.openapi_schema = made
    return app.openapi_schema


def _add(schemas: dict[str, Any], kind: type[BaseModel]) -> None:
    schema = kind.model_json_schema(ref_template=_FORM)
    schemas.update(schema.pop("$defs", {}))
    schemas[kind.__name__] = schema


def _state_problems(route: dict[str, Any]) -> None:
    """Errors of one operation: all of them have the form of a problem."""
    answers = route["responses"]
    content = {"application/json": {"schema": {"$ref": _FORM.format(model="Problem")}}}
    if "422" not in answers or "HTTPValidationError" in str(answers["422"]):
        answers["422"] = {"description": "A parameter or the body is invalid."}
    answers["422"]["content"] = content
    answers.setdefault("default", {"description": _ALWAYS, "content": content})

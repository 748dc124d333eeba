"""What all routes share: the service, bodies, and the forms of errors."""

from __future__ import annotations

import secrets
from typing import Annotated, Any, TypeVar

from fastapi import Path, Request
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect

from ...text.display import shown
from ...text.strict_json import parse_json
from .hub import Hub
from .models import Problem
from .problems import refusal
from .settings import ApiSettings
from .view import CameraView, SiteView

M = TypeVar("M", bound=BaseModel)
CameraName = Annotated[str, Path(description="Name of the camera.", max_length=63)]
BundleName = Annotated[str, Path(description="Name of the bundle.", max_length=63)]
EventKey = Annotated[str, Path(description="`key` of the event.", max_length=2048)]


class Context:
    """What the routes of one application share; in `app.state.context`."""

    def __init__(self, view: SiteView, settings: ApiSettings) -> None:
        self.view, self.settings = view, settings
        self.hub = Hub(view, settings.clients)
        self.boot = secrets.token_hex(8)

    def camera(self, name: str) -> CameraView:
        """Raises ApiProblem (404)."""
        for camera in self.view.cameras():
            if camera.name == name:
                return camera
        given = f"There is no camera {shown(name, 63)!r}"
        raise refusal(404, "site-api-camera", given, "", "list the cameras with api/v1/cameras")


def context(request: Request) -> Context:
    """The context of the application."""
    found: Context = request.app.state.context
    return found


async def body_of(request: Request, kind: type[M]) -> M:
    """The body of a request, checked. Raises ApiProblem."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise refusal(415, "site-api-type", "The body is not JSON", "Content-Type: application/json", "send JSON")
    try:
        data = await request.body()
        parse_json(data)  # duplicate keys, depth, numbers that are not finite
        return kind.model_validate_json(data)
    except ClientDisconnect:
        raise refusal(413, "site-api-body", "The body is too large, or came too slowly", "", "send less") from None
    except ValidationError as error:
        found = [(".".join(map(str, e["loc"])) or "body", e["msg"]) for e in error.errors(include_input=False)[:5]]
        text = "; ".join(f"{shown(place, 100)}: {shown(message)}" for place, message in found)
    except ValueError as error:
        text = f"The body is no JSON: {error}"
    raise refusal(422, "site-api-form", text, "the form that api/v1/openapi.json describes", "correct the body")


def body_form(kind: type[BaseModel], reference: str = "") -> dict[str, Any]:
    """The part of the OpenAPI document that describes a body."""
    schema = {"$ref": reference} if reference else kind.model_json_schema(ref_template="#/components/schemas/{model}")
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Errors of a route, for the OpenAPI document."""
    return {status: {"model": Problem, "description": _MEANING[status]} for status in statuses}


_MEANING = {
    401: "No valid token.",
    403: "The token may only read, or the request comes from a page of another site.",
    404: "There is no such thing.",
    422: "A parameter or the body is invalid.",
    429: "Too many wrong tokens.",
    503: "Too many clients, or the service cannot do it now.",
}

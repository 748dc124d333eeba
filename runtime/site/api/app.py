"""The application: API, page, metrics and health behind one guard."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from fastapi import Depends, FastAPI

from ..._version import __version__
from . import event_routes, health_routes, media_routes, page_routes, session_routes, site_routes
from .context import Context
from .document import document
from .guard import API, Guard
from .live import LivePictures
from .parameters import known_parameters
from .problems import handle_problems
from .settings import ApiSettings
from .view import SiteView

_ABOUT = """\
Cameras, events and media of a site. Times with the ending `unix` are Unix seconds; other times are seconds on the media
clock of a camera. Addresses in answers are relative to the address of the API (`.../api/v1/`). Errors are JSON with
`code`, `given`, `allowed` and `next_step`. Query parameters that an address does not have are refused.

With tokens in the configuration, each request needs one: `Authorization: Bearer TOKEN`. The role read may use GET, the
role operate everything.
"""


def create_app(view: SiteView, settings: ApiSettings) -> Guard:
    """The ASGI application of a service.

    Args:
        view: The service.
        settings: Who may use it, and limits.
    """
    context = Context(view, settings)
    pictures = LivePictures(view.request_picture, settings.picture_s)

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await context.hub.start()
        try:
            yield
        finally:
            context.hub.close()
            pictures.close()

    app = _routed(lifespan)
    guard = Guard(app, settings)
    app.state.context, app.state.pictures, app.state.guard = context, pictures, guard
    guard.close = context.hub.close
    return guard


def openapi() -> dict[str, Any]:
    """The OpenAPI document."""
    return document(_routed(None))


def _routed(lifespan: Any) -> FastAPI:
    app = FastAPI(
        title="punctum serve",
        version=__version__,
        description=_ABOUT,
        openapi_url=f"{API}/openapi.json",
        docs_url=None,  # their scripts come from another host
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    handle_problems(app)
    app.include_router(page_routes.router)
    app.include_router(health_routes.router)
    for routes in (site_routes, event_routes, media_routes, session_routes):
        app.include_router(routes.router, prefix=API, dependencies=[Depends(known_parameters)])
    app.openapi = lambda: document(app)  # type: ignore[method-assign]
    return app

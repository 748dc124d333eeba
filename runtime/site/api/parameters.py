"""Query parameters that a route does not have: a mistyped filter would otherwise return everything."""

from __future__ import annotations

from fastapi import Request

from ...text.display import shown
from ..config.problems import suggestion
from .problems import refusal


async def known_parameters(request: Request) -> None:
    """Raises ApiProblem for a query parameter that the route of a request does not have."""
    route = request.scope["route"]
    known = sorted(parameter.alias for parameter in route.dependant.query_params)
    unknown = next((name for name in request.query_params if name not in known), None)
    if unknown is None:
        return
    advice = suggestion(unknown[:80], known)
    raise refusal(
        422,
        "site-api-parameter",
        f"There is no parameter {shown(unknown, 80)!r} here" + (f": {advice}" if advice else ""),
        ", ".join(known) or "no parameter",
        "correct the name, or leave it out; api/v1/openapi.json describes all parameters",
    )

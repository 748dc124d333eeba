"""Messages between the processes of a site, checked by their models."""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from ..errors import InputError
from .wire import Header

M = TypeVar("M", bound=BaseModel)


class Message(BaseModel):
    """Base of the models of messages, and of their parts."""

    # Fields of later versions are no error: both sides come from one installation, but not always from one file.
    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)


def parsed(kind: type[M], header: Header) -> M:
    """A message as its model. Raises InputError."""
    try:
        return kind.model_validate(header)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InputError(
            "site-message",
            f"The message {str(header.get('type'))[:40]!r} cannot be used ({where[:80]}: {first['msg'][:120]})",
            next_step="use the same version of punctum for all processes of a site",
        ) from None

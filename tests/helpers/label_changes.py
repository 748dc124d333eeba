"""Changes of labels, as the page sends them."""

from __future__ import annotations

from typing import Any

from punctum.runtime.labeling.store import ClickStore


def known(store: ClickStore, ident: str) -> dict[str, Any]:
    """What a page knows of a click, for a change of it."""
    click = store.clicks.get(ident)
    if click is None:
        return {"label": "open", "time_s": 0.0, "note": ""}
    return {"label": click.label, "time_s": click.time_s, "note": click.note}


def as_sent(store: ClickStore, op: str, **values: Any) -> dict[str, Any]:
    """The fields of a change, with what the page knows of the click."""
    if op in ("edit", "delete") and "was" not in values:
        values["was"] = known(store, values["id"])
    return {"op": op, **values}

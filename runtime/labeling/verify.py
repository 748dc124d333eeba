"""A change is saved only if the file that it writes can be read back with the same content: otherwise no later change
could be saved."""

from __future__ import annotations

from pathlib import Path

from ..datasets.background import background_of, write_background
from ..datasets.labeled import labeling_of
from ..datasets.tables import parse_json
from ..errors import InputError
from .clicks import Click, clicks_of, columns_of, write_clicks
from .editable import Editable
from .undo import Labels, image, same, span_image


def verify(before: Labels, now: Editable, files: dict[str, Path], record: str, *, exact: bool) -> None:
    """Check the rows that a change makes or changes, and the text of labeling.json.

    Args:
        before: The labels before.
        now: The labels now.
        files: Role -> file, for messages.
        record: The new text of labeling.json.
        exact: Every cell has to be read as it is; otherwise class, video, time and id.

    Raises:
        InputError: Something would be read in another way, or not at all.
    """
    clicks = [click for ident, click in now.clicks.items() if before.clicks.get(ident) is not click]
    spans = [row for ident, row in now.spans.items() if before.spans.get(ident) is not row]
    try:
        if clicks:
            text = write_clicks(clicks, columns_of(now.clicks.values()))
            found = {click.id: click for click in clicks_of(text, files["clicks"])}
            if found.keys() != {click.id for click in clicks}:
                raise ValueError("ids")
            for click in clicks:
                _compare(click, found[click.id], exact=exact)
        if spans:
            rows = background_of(write_background(spans), files["spans"])
            images = sorted(repr(span_image(row)) for row in spans)
            if any(row.problem for row in rows) or (exact and sorted(repr(span_image(row)) for row in rows) != images):
                raise ValueError("a span")
        labeling_of(parse_json(record), files["record"])
    except InputError as error:
        raise _refused(error.given) from None
    except (ValueError, RecursionError) as error:
        raise _refused(str(error)) from None


def _compare(click: Click, found: Click, *, exact: bool) -> None:
    key, other = ((one.label, one.video, round(one.time_s, 3)) for one in (click, found))
    if key != other:
        raise ValueError("class, video or time")
    written, read = image(click), image(found)
    for record in (written, read) if written and read else ():
        record["speed"] = None if record["speed"] is None else f"{record['speed']:g}"
    if exact and not same(written, read):
        raise ValueError("a cell")


def _refused(why: str) -> InputError:
    return InputError(
        "label-change",
        f"The change cannot be saved: it would be read in another way ({why})",
        next_step="load the page again",
    )

"""Reviews of events by people; see `review_files` for what training makes of them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from ...errors import InputError
from ...text.display import shown
from .database import Database
from .rows import Review, ReviewRow, marks


class Reviews:
    """Part of `Store`."""

    _db: Database

    def review(self, camera: str, event_id: str, review: Review | None) -> Review | None:
        """Store what a person says about an event, in place of an earlier review; None: withdraw it.

        Returns:
            The review as stored.

        Raises:
            InputError: There is no such event, or the review contradicts itself.
            StoreError: Nothing was stored.
        """
        if review is not None:
            review.check()
            review = review if review.unix else replace(review, unix=time.time())
        with self._db.write() as db:
            found = db.execute(
                "UPDATE events SET verdict = ? WHERE camera = ? AND id = ?",
                (None if review is None else review.verdict, camera, event_id),
            )
            if not found.rowcount:
                raise InputError(
                    "site-event",
                    f"{shown(camera, 80)} has no event {shown(repr(event_id), 80)}",
                    required="the id of an event of this camera",
                    next_step="look it up among the events",
                )
            if review is None:
                db.execute("DELETE FROM reviews WHERE camera = ? AND event = ?", (camera, event_id))
                db.execute("INSERT OR IGNORE INTO withdrawn VALUES (?, ?)", (camera, event_id))
            else:
                db.execute("DELETE FROM withdrawn WHERE camera = ? AND event = ?", (camera, event_id))
                db.execute(
                    "INSERT OR REPLACE INTO reviews (camera, event, verdict, label, start_s, end_s, by, unix, note)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        camera,
                        event_id,
                        review.verdict,
                        review.label,
                        review.start,
                        review.end,
                        review.by,
                        review.unix,
                        review.note,
                    ),
                )
        self._file_review(camera, event_id)
        return review

    def reviews(
        self, cameras: Sequence[str] | None = None, *, after: ReviewRow | None = None, limit: int = 1000
    ) -> list[ReviewRow]:
        """Reviews in order of time. after: the last one of the call before."""
        if cameras is not None and not cameras:
            return []
        chosen = "" if cameras is None else f"AND camera IN ({marks(cameras)})"
        place = (-1e300, "", "") if after is None else (after.review.unix, after.camera, after.event)
        with self._db.read() as db:
            rows = db.execute(
                "SELECT camera, event, verdict, label, start_s, end_s, by, unix, note FROM reviews"
                f" WHERE (unix, camera, event) > (?, ?, ?) {chosen} ORDER BY unix, camera, event LIMIT ?",
                (*place, *(cameras or ()), limit),
            ).fetchall()
        return [ReviewRow(row[0], row[1], Review(*row[2:])) for row in rows]

    def _file_review(self, camera: str, event_id: str) -> bool:
        """Bring the training files in line with the review of an event, now or in `file_reviews`."""
        raise NotImplementedError

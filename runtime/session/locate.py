"""The first stage: extend the tracks of a section with the locator."""

from __future__ import annotations

import numpy as np

from .jobs import LocateJob, StepJob, Steps
from .outputs import check_tracks
from .plan import BLOCK, Plan
from .section import Carried, Section


def extend_tracks(section: Section, plan: Plan, *, final: bool, provisional: bool) -> Steps[None]:
    """Run the locator on the new features, in blocks of at most BLOCK snippets.

    A track value is settled once the features of its whole receptive field are known. Only the true ends of a section
    are shown to the locator as edges.

    Args:
        section: Its `tracks` and `provisional` are updated.
        plan: The configuration.
        final: The section ends here, so everything is settled.
        provisional: Also compute the tracks of the snippets that are not settled, as if the stream ended now.
    """
    known = section.features.end if final else section.advanced
    settled = known if final else max(known - plan.right, section.tracks.end)
    end = known if provisional else settled
    section.provisional = section.provisional[:0]
    at = section.tracks.end
    before, section.carried = section.carried, None
    if not final and at >= plan.left and at < end <= at + BLOCK and settled - at <= plan.left + plan.right:
        low = at - plan.left
        fresh, state = (known - before.known, before.state) if before is not None else (0, None)
        window = section.features.slice(low, known)
        step = StepJob(window, at - low, end - low, ahead=provisional, fresh=fresh, state=state)
        ((rows, state),) = yield [step]
        check_tracks(rows, ((known - low if state is None else end - at), len(plan.labels) + 1))
        if state is None:
            rows = rows[at - low : end - low]
        section.tracks.append(rows[: settled - at])
        section.provisional = rows[settled - at :]
        section.carried = None if state is None else Carried(known, state)
        return
    while at < end:
        stop = min(at + BLOCK, end)
        low, high = max(at - plan.left, 0), min(stop + plan.right, known)
        job = LocateJob(section.features.slice(low, high), inner=at - low >= plan.left)
        (rows,) = yield [job]
        check_tracks(rows, (high - low, len(plan.labels) + 1))
        rows = rows[at - low : stop - low]
        count = max(min(stop, settled) - at, 0)
        if count:
            section.tracks.append(rows[:count])
        if count < len(rows):
            rest = rows[count:]
            section.provisional = np.concatenate([section.provisional, rest]) if len(section.provisional) else rest
        at = stop

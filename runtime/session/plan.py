"""What a session needs to know about a bundle, and the statistics that it collects."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..arguments import check_between, check_size, check_text, check_type, wrong_argument
from ..bundle import limits
from ..bundle.calibration import Calibration
from ..bundle.config import PostProcess
from ..errors import InputError
from ..live import LEAST_RAW, LiveOptions

if TYPE_CHECKING:
    from ..bundle.reader import Bundle

BLOCK = 2048
"""Maximum number of new snippets in one run of the locator: bounds memory when a long recording is pushed at once."""
HOP_S = 0.5
"""Seconds of media between two runs of the locator when only final events are wanted. Every run repeats the whole
receptive field, so fewer runs cost less."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The configuration of a session, taken from a bundle.

    Attributes:
        labels: Class names, in the order of the class tracks.
        dim: Dimension D of the features.
        stride_s: Seconds of media from one snippet to the next.
        left: Receptive field of the locator before a snippet, in snippets.
        right: Receptive field of the locator after a snippet, in snippets.
        post: Settings of post-processing.
        bundle_id: Identifies the bundle in events and snapshots.
        overhang_s: Media after a snippet's end that its features depend on, in seconds. Not 0 for a backbone whose
            clips are longer than the stride.
        calibration: From raw scores to probabilities; None: events have raw scores.
    """

    labels: tuple[str, ...]
    dim: int
    stride_s: float
    left: int
    right: int
    post: PostProcess
    bundle_id: str
    overhang_s: float = 0.0
    calibration: Calibration | None = None

    @classmethod
    def of(cls, bundle: Bundle) -> Plan:
        """The configuration that a bundle states."""
        manifest = bundle.manifest
        return cls(
            labels=tuple(bundle.labels),
            dim=manifest.features.dim,
            stride_s=manifest.features.stride_s,
            left=manifest.locator.left,
            right=manifest.locator.right,
            post=manifest.post,
            bundle_id=bundle.id,
            overhang_s=manifest.backbone.overhang_s if manifest.backbone else 0.0,
            calibration=manifest.calibration,
        )

    @classmethod
    def of_parts(
        cls,
        *,
        labels: Iterable[str],
        dim: int,
        stride_s: float,
        receptive_field: tuple[int, int],
        post: PostProcess,
        bundle_id: str,
        overhang_s: float,
        calibration: Calibration | None = None,
    ) -> Plan:
        """The configuration without a bundle. Values that no bundle could have are refused with InputError."""
        names = _checked_labels(labels)
        check_size("dim", dim, most=limits.DIMENSION)
        check_between("stride_s", stride_s, limits.LEAST_STRIDE_S, limits.MOST_STRIDE_S)
        pair = receptive_field if isinstance(receptive_field, Sequence) else ()
        if len(pair) != 2:
            raise wrong_argument("receptive_field", receptive_field, "two numbers of snippets: before and after")
        left, right = pair
        for side in pair:
            check_size("receptive_field", side, least=0, most=limits.FIELD)
        check_type("post", post, PostProcess, "PostProcess")
        check_text("bundle_id", bundle_id)
        check_between("overhang_s", overhang_s, 0.0, limits.CONTEXT_S)
        check_type("calibration", calibration, Calibration, "Calibration", optional=True)
        if calibration is not None and {len(calibration.classes), len(calibration.reduced)} - {0} != {len(names)}:
            raise wrong_argument("calibration", calibration, f"a map for each of the {len(names)} classes")
        return cls(
            names, int(dim), float(stride_s), int(left), int(right), post, bundle_id, float(overhang_s), calibration
        )

    def scores(self, label: int, raw: float, *, degraded: bool) -> tuple[float, float | None]:
        """The score of an event and its raw score; without calibration the raw score is the score, and None.

        Args:
            label: Index of the class.
            raw: Result of fusion and suppression.
            degraded: The event was scored with reduced effort.
        """
        if self.calibration is None:
            return raw, None
        return self.calibration.score(label, raw, degraded=degraded), raw

    def least_raw(self, live: LiveOptions) -> float:
        """A raw score below which no provisional event is reported with these options, whatever its class."""
        report = live.report_score
        if self.calibration is None:
            return min(LEAST_RAW if report is None else report, live.open_score)
        if report is None:
            return min(LEAST_RAW, self.calibration.least_raw(live.open_score))
        return self.calibration.least_raw(min(report, live.open_score))

    @property
    def context(self) -> int:
        """Snippets on either side of an island that scoring may read; one of them is for interpolation."""
        return math.ceil(self.post.right_context_s / self.stride_s) + 1

    @property
    def look_ahead_s(self) -> float:
        """Algorithmic delay in seconds: receptive field to the right, right context, and overhang of the features."""
        return (self.right + self.context) * self.stride_s + self.overhang_s

    def hop(self, live: LiveOptions | None) -> int:
        """Snippets between two runs of the locator in a stream with these options."""
        tick = 0 if live is None else live.tick(self.stride_s)
        return tick or max(math.floor(HOP_S / self.stride_s), 1)


def _checked_labels(labels: Iterable[str]) -> tuple[str, ...]:
    names = tuple(labels) if isinstance(labels, Iterable) and not isinstance(labels, str | bytes) else ()
    texts = all(isinstance(name, str) and name.strip() for name in names)
    if not names or not texts or len(set(names)) != len(names):
        required = "a list of class names: at least one, each a text that is not empty and differs from the others"
        raise wrong_argument("labels", labels, required)
    return names


@dataclass(slots=True)
class Stats:
    """Compute time per stage, amount of media processed, and what is missing.

    Attributes:
        locate_s: Seconds in the locator.
        islands_s: Seconds spent finding islands in the class tracks.
        score_s: Seconds in the center scorer, for final events. In a pool: duration of the run that streams share.
        post_s: Seconds of post-processing: proposals, fusion, boundary adaptation and suppression.
        report_s: Seconds spent on provisional events.
        media_s: Seconds of media processed.
        snippets: Snippets processed.
        islands: Islands scored.
        events: Final events.
        gaps: Gaps in the stream.
        dropped: Snippets missing in all gaps together.
    """

    locate_s: float = 0.0
    islands_s: float = 0.0
    score_s: float = 0.0
    post_s: float = 0.0
    report_s: float = 0.0
    media_s: float = 0.0
    snippets: int = 0
    islands: int = 0
    events: int = 0
    gaps: int = 0
    dropped: int = 0

    def copy(self) -> Stats:
        """An independent copy. Written out because every push that advances a session makes one."""
        return Stats(
            self.locate_s,
            self.islands_s,
            self.score_s,
            self.post_s,
            self.report_s,
            self.media_s,
            self.snippets,
            self.islands,
            self.events,
            self.gaps,
            self.dropped,
        )

    @property
    def real_time_factor(self) -> float:
        """Seconds of computation per second of media, from features to events. Below 1, it keeps up with the stream."""
        total = self.locate_s + self.islands_s + self.score_s + self.post_s + self.report_s
        return total / self.media_s if self.media_s else 0.0


def check_live(plan: Plan) -> None:
    """Raise InputError for a plan that can process whole recordings only."""
    if plan.post.gate == "video":
        raise InputError(
            "gate-video-live",
            "The bundle has gate='video', which needs the whole video, and cannot process a stream",
            "gate='none' for streams",
            "set gate to 'none', or use localize() on a whole recording",
        )

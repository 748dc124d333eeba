"""What `punctum rescore` consists of: its rules, the recordings, and the counts that it states."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import typer

from ..bundle.config import Fusion, PostProcess
from ..datasets.dataset import Dataset
from ..datasets.proposals import ProposalFile
from ..datasets.recordings import feature_reader
from ..datasets.truth import marked, read_record
from ..errors import InputError
from ..features.features import Features
from ..session.rescore import (
    MIN_LENGTH,
    Fitted,
    ScoredSegments,
    check_scored,
    fit_to_recording,
    score_segments,
    settle,
    tracks_of,
)
from ..text.display import counted, shown
from ._engine import EngineChoice
from .options import refuse

if TYPE_CHECKING:
    from ..bundle.reader import Bundle

_TERMS = tuple(Fusion.model_fields)
_OF_SCORER = ("class_probability", "attention", "center")


def parse_fusion(text: str) -> Fusion:
    """ "center=1,base=0.5" as exponents; terms left out are 0. Raises InputError."""
    exponents: dict[str, float] = {}
    for part in text.split(","):
        name, mark, value = (x.strip() for x in part.partition("="))
        try:
            if not mark or name not in _TERMS or name in exponents:
                raise ValueError(name)
            exponents[name] = float(value)
        except ValueError:
            raise InputError(
                "fusion",
                f"--fusion {shown(repr(text))}: {shown(repr(part.strip()))} is not a term and its exponent",
                f"TERM=EXPONENT,..., each of these at most once: {', '.join(_TERMS)}",
                "for example --fusion center=1,contrast=1",
            ) from None
    fusion = Fusion(**dict.fromkeys(_TERMS, 0.0) | exponents)
    if not any(getattr(fusion, name) > 0 for name in _TERMS):
        raise InputError("fusion", f"--fusion {text!r} has no exponent above 0", "at least one", "correct --fusion")
    return fusion


def rules(context: typer.Context, bundle: Bundle | None, given: Mapping[str, Any]) -> PostProcess:
    """The settings of the bundle, or without one the score of the file and the defaults, with those given.

    Raises:
        InputError: A value is out of range, or has no effect.
    """
    if bundle is None:
        post = PostProcess(fusion=Fusion(contrast=0.0, base=1.0), min_score=0.0)  # as published
    else:
        post = bundle.manifest.post
    if not post.adapt and "adapt" in given:
        raise InputError(
            "option-unfit", "--no-adapt has no effect: the bundle does not adapt boundaries", next_step="leave it out"
        )
    for name, value in given.items():
        try:
            post = post.model_copy(update={name: value})
        except InputError as error:
            message = error.given.rpartition(": ")[2]
            raise error.with_given(f"`{name}` is {value}: {message}") from None
    if not post.adapt:
        refuse(context, ("adapt_iou",), "where the bundle does not adapt boundaries", "use another bundle")
    for kind, name in (("soft", "sigma"), ("hard", "nms_iou")):
        if post.suppression != kind:
            refuse(context, (name,), f"with {post.suppression} suppression", f"add --suppression {kind}")
    if bundle is None:
        idle = [name for name in _TERMS if name != "base" and getattr(post.fusion, name) > 0]
        what, need = "without BUNDLE", "a bundle, or base alone"
    elif bundle.manifest.center is None:
        idle = [name for name in _OF_SCORER if getattr(post.fusion, name) > 0]
        what, need = f"with {bundle.id}, which has no scorer", "a bundle with a scorer, or contrast and base"
    else:
        idle, what, need = [], "", ""
    if idle:
        raise InputError("fusion", f"{', '.join(idle)} cannot be computed {what}", need, "correct --fusion")
    return post


def videos_of(data: Dataset, subset: str) -> tuple[str, ...]:
    """The videos of a subset, from the list or else from the ground truth. Raises InputError if there are none."""
    videos = data.test if subset == "test" else data.train
    if not videos and data.truth_file.is_file():
        videos = marked(read_record(data.truth_file), subset)
    if not videos:
        raise InputError(
            "list-missing",
            f"{data.folder} lists no {subset} videos",
            required=f"a {subset}.txt with one video per line",
            next_step="check `subset` and `split`",
        )
    return videos


def fit(given: ScoredSegments, features: Features | None, file: Path, video: str, *, skip_unfit: bool) -> Fitted:
    """The proposals within the recording.

    Raises:
        InputError: One lies outside of it, unless such proposals are skipped.
    """
    if features is None:
        start_s, end_s, least_s = 0.0, np.inf, MIN_LENGTH
    else:
        start_s, least_s = features.start_s, MIN_LENGTH * features.stride_s
        end_s = start_s + features.duration_s
    fitted = fit_to_recording(given, start_s, end_s, least_s=least_s)
    if fitted.outside and not skip_unfit:
        row = fitted.outside[0]
        start, end = given.segments[row].tolist()
        until = "" if features is None else f" to {end_s:g} s, where its features end"
        raise InputError(
            "proposal-outside",
            f"{file}: results.{shown(video)} has {counted(len(fitted.outside), 'proposal')} outside of the recording, "
            f"such as [{row}] with the segment [{start:g}, {end:g}]",
            f"seconds from {start_s:g} s{until}",
            "check that times are in seconds and that the features are complete, or set `skip_unfit`",
        )
    return fitted


def features_if_any(data: Dataset, video: str) -> Features | None:
    """The features of a recording, which state its length; None in a data set without them."""
    if data.only_videos or not data.features_dir.is_dir():
        return None
    if not all(path.is_file() for path in data.feature_files(video)):
        return None
    return data.features(video)


def settle_own(proposals: ScoredSegments, post: PostProcess) -> ScoredSegments:
    """ABA and suppression on the proposals' own scores. Raises InputError for one without a score."""
    check_scored(proposals, post)
    score = np.maximum(proposals.score, 0.0) ** post.fusion.base
    return settle(ScoredSegments(proposals.segments, proposals.label, score), post)


@contextmanager
def of_the_file(file: Path, video: str) -> Iterator[None]:
    """Errors of the proposals' own scores name the file and the video."""
    try:
        yield
    except InputError as error:
        if error.code in ("proposal-score", "proposal-unscored"):
            raise error.with_given(f"{file}: results.{shown(video)}: {error.given}") from None
        raise


class Scorer:
    """A bundle on its engine, and the recordings of a data set."""

    def __init__(self, engine: EngineChoice, bundle: Bundle, data: Dataset, *, check_attention: bool) -> None:
        """Open the engine.

        Args:
            engine: The options.
            bundle: The bundle.
            data: The data set.
            check_attention: The user named the exponents: refuse one of attention where attention is constant.
        """
        self._localizer = engine.localizer(bundle)
        self.read = feature_reader(data, bundle, spec=engine.spec())
        self._check_attention = check_attention

    def rescore(self, features: Features, proposals: ScoredSegments, post: PostProcess) -> ScoredSegments:
        """`Localizer.rescore`."""
        if self._check_attention and post.fusion.attention > 0 and len(proposals):
            self._refuse_constant_attention(features, proposals, post.fusion)
        return self._localizer.rescore(features, proposals, post=post)

    def _refuse_constant_attention(self, features: Features, proposals: ScoredSegments, fusion: Fusion) -> None:
        """The default scorer has no attention: its output is 1."""
        plan, backend = self._localizer.plan, self._localizer.backend
        positions = (proposals.segments - features.start_s) / plan.stride_s - 0.5
        tracks = tracks_of(plan, backend, features.data)
        _, attention, _ = score_segments(plan, backend, features.data, tracks, positions, proposals.label, fusion)
        if float(attention.min()) >= 1.0:
            raise InputError(
                "fusion",
                "Attention has no effect: the scorer of this bundle returns 1 for every proposal",
                "the other terms",
                "leave attention out of --fusion",
            )
        self._check_attention = False


@dataclass
class Tally:
    """Counts of what was read, left out and written.

    Attributes:
        found: What the file holds.
        videos: Number of videos of the subset.
    """

    found: ProposalFile
    videos: int
    proposals: int = field(default=0, init=False)
    clipped: int = field(default=0, init=False)
    short: int = field(default=0, init=False)
    outside: int = field(default=0, init=False)
    negative: int = field(default=0, init=False)
    events: int = field(default=0, init=False)

    def add(self, given: ScoredSegments, fitted: Fitted, made: ScoredSegments, *, uses_base: bool) -> None:
        """Count one video."""
        self.proposals += len(given)
        self.clipped += fitted.clipped
        self.short += fitted.short
        self.outside += len(fitted.outside)
        self.negative += int((fitted.proposals.score < 0).sum()) if uses_base else 0
        self.events += len(made)

    def record(self) -> dict[str, Any]:
        """For JSON."""
        found = self.found
        return {
            "videos": self.videos,
            "videos_without_proposals": self.videos - sum(len(one) > 0 for one in found.videos.values()),
            "proposals": self.proposals,
            "events": self.events,
            "clipped": self.clipped,
            "left_out": {
                "without_length": self.short,
                "outside": self.outside,
                "unknown_classes": sum(found.unknown_labels.values()),
                "unknown_videos": len(found.unknown_videos),
                "videos_of_the_other_subset": found.other_videos,
            },
            "scores_below_0": self.negative,
        }

    def lines(self) -> list[str]:
        """For people: what was done, then what was left out or changed."""
        record = self.record()
        lines = [
            f"{counted(self.proposals, 'proposal')} in {counted(self.videos, 'video')} "
            f"-> {counted(self.events, 'event')}"
        ]
        out = record["left_out"]
        classes = ", ".join(shown(name, 40) for name in list(self.found.unknown_labels)[:3])
        videos = ", ".join(shown(name, 40) for name in self.found.unknown_videos[:3])
        for number, text in (
            (record["videos_without_proposals"], "videos have no proposals"),
            (self.clipped, "proposals reached beyond their recording and were clipped"),
            (self.negative, "scores below 0 count as 0"),
            (out["without_length"], "proposals without length were left out"),
            (out["outside"], "proposals outside of their recording were left out"),
            (out["unknown_classes"], f"proposals of unknown classes were left out ({classes})"),
            (out["unknown_videos"], f"unknown videos were left out ({videos})"),
            (out["videos_of_the_other_subset"], "videos of the other subset were left out"),
        ):
            if number:
                lines.append(f"{text}: {number}")
        return lines

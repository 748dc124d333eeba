"""The training recipe as data: what `--config` reads and what a run records in its config.json.

Every published rule that the default recipe changes is a field here, so each change can be ablated. Time is counted
in snippets unless a name ends in `_s` (seconds).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from punctum.runtime.bundle.config import Fusion, PostProcess
from pydantic import Field, field_validator, model_validator

from .recipe import MAX_COUNT, MAX_SEED, MAX_SIZE, Recipe


class Normalisation(Recipe):
    """Normalization of features, the first step of both networks. Statistics come from the training videos."""

    unit_length: bool = False  #: divide every snippet by its Euclidean norm, before the statistics are taken
    standardise: bool = True  #: subtract the mean and divide by the standard deviation, per dimension
    clip: float | None = Field(default=5.0, gt=0)  #: bound in standard deviations; None: no bound


class HiddenLayer(Recipe):
    """One temporal convolution and a ReLU; it covers (kernel - 1) * dilation + 1 snippets.

    A residual layer passes its result through a 1x1 convolution and channel dropout and adds it to its input, so it
    must have as many units as its input has channels.
    """

    kernel: int = Field(default=9, ge=1, le=MAX_SIZE)  #: snippets
    units: int = Field(default=256, ge=1, le=MAX_SIZE)
    dilation: int = Field(default=1, ge=1, le=MAX_SIZE)
    residual: bool = False


class LocatorConfig(Recipe):
    """The locator: a temporal network with a finite receptive field, features [T, D] -> class track, actionness."""

    normalisation: Normalisation = Normalisation()
    embed: int = Field(default=0, ge=0, le=MAX_SIZE)  #: units of a linear map applied to every snippet first; 0: none
    hidden: tuple[HiddenLayer, ...] = (HiddenLayer(),)  #: (): the output layer alone
    linear_kernel: int = Field(default=1, ge=1, le=MAX_SIZE)  #: kernel of the output layer, in snippets
    dropout: float = Field(default=0.5, ge=0, lt=1)  #: before the output layer; residual layers drop channels
    input_dropout: float = Field(default=0.0, ge=0, lt=1)  #: drops feature dimensions in a whole window
    max_right: int | None = Field(default=None, ge=0, le=MAX_COUNT)  #: look-ahead, snippets; None: symmetric, 0: causal
    smooth: int = Field(default=1, ge=0, le=MAX_SIZE)  #: passes of a 3-point mean over the tracks, in the graph
    output: Literal["softmax", "sigmoid"] = "softmax"  #: sigmoid: LACP's fusion P = S * (1 - S_background)
    output_bias: bool = True
    members: int = Field(default=1, ge=1, le=1000)  #: networks of this shape; probabilities are averaged


class PointsObjective(Recipe):
    """Cross-entropy at clicks and at background between clicks (training/objectives/points.py)."""

    kind: Literal["points"] = "points"
    background_share: float = Field(default=0.4, gt=0, le=1)  #: share of the gap between two clicks
    background_at: Annotated[float, Field(gt=0, lt=1)] | Literal["auto"] = 0.5
    """Center of the background in a gap, 0 (first click) to 1 (next click); "auto": estimated from the features."""
    edge_background: Literal["auto", "always", "never", "before"] = "auto"
    """Background before the first and after the last click of a video; "before": only before the first; "auto": only
    if no video has a gap between two clicks."""
    background_weight: float | None = Field(default=None, gt=0, le=1)
    """Crops: weight of every background snippet; None: each gap has a total weight of 1."""
    balance: float = Field(default=0.0, ge=0, le=1)  #: crops: a click weighs (rarest count / class count) ** balance
    smoothness: float = Field(default=0.05, ge=0)  #: weight of squared differences between neighboring snippets
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    noise: float = Field(default=0.0, ge=0)  #: standard deviation, added to normalized features
    hide_future: float = Field(default=0.0, ge=0, le=1)
    """Crops: share of windows whose later part is hidden, as in a stream."""
    sampling: Literal["sites", "crops"] = "sites"  #: single clicks and gaps, or whole windows
    batch: int = Field(default=256, ge=1, le=MAX_COUNT)
    """Per step. Sites: clicks, with as many background snippets; crops: windows."""
    window: int = Field(default=2, ge=2, le=MAX_COUNT)  #: output snippets of a training window; 64 suits crops


class LacpObjective(Recipe):
    """LACP (Lee and Byun, ICCV 2021), docs/method/lacp.md."""

    kind: Literal["lacp"] = "lacp"
    weights: tuple[float, float, float, float, float] = (1.0, 0.5, 1.0, 1.0, 1.0)
    """Of the losses: video, frame, background, score, feature."""
    temperature: float = Field(default=0.1, gt=0)
    search_every: int = Field(default=10, ge=1, le=MAX_COUNT)  #: steps between two sequence searches
    action_threshold: float = 0.1  #: background probability up to which snippets become action seeds
    background_threshold: float = 0.95  #: background probability from which snippets become background seeds
    published_bug: bool = False  #: contrast the last class of a video only, as the released code does
    batch: int = Field(default=16, ge=1, le=MAX_COUNT)  #: videos per step

    @model_validator(mode="before")
    @classmethod
    def _no_beam_width(cls, value: Any) -> Any:
        if isinstance(value, dict) and "budget" in value:
            raise ValueError("budget has no effect: the sequence search is exact and has no beam width")
        return value


class OwnObjective(Recipe):
    """An objective from outside of this package (training/objectives/own.py)."""

    kind: Literal["own"] = "own"
    factory: str = Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_][\w.]*$")  #: package.module:factory


LocatorObjective = PointsObjective | LacpObjective | OwnObjective


class CenterConfig(Recipe):
    """The center scorer: a proposal-level network. "published" is the head of TSPNet."""

    kind: Literal["center", "published"] = "center"
    bins: int = Field(default=12, ge=6, le=6000, multiple_of=6)  #: of pooling: 1/6 left context, 4/6 inside, 1/6 right
    context: float = Field(default=0.25, ge=0)  #: on each side, as a share of the proposal's length
    max_context_s: float | None = Field(default=None, gt=0)  #: upper bound of a context; None: post.right_context_s
    normalisation: Normalisation = Normalisation()
    use_tracks: bool = True  #: also pool the class track of the proposal's class and actionness
    use_length: bool = True  #: input: logarithm of the length in snippets
    embed: int = Field(default=64, ge=0, le=MAX_SIZE)  #: units of a linear map per bin; 0: none
    hidden: int = Field(default=256, ge=1, le=MAX_SIZE)
    dropout: float = Field(default=0.5, ge=0, lt=1)
    input_dropout: float = Field(default=0.3, ge=0, lt=1)
    members: int = Field(default=1, ge=1, le=1000)  #: networks of this shape; outputs are averaged
    attention: bool = False  #: a class-agnostic third output; off: constant 1
    accumulate: Literal["float64", "float32"] = "float64"  #: float32 for engines without float64


class CenterObjective(Recipe):
    """Center score learning (CSL): point and saliency losses of TSPNet (Xia et al., CVPR 2024), and our changes.

    docs/method/tspnet.md describes the published rules; P1, P2, P9 and P15 are defects of the released code.
    """

    kind: Literal["points"] = "points"
    saliency_weight: float = Field(default=20.0, ge=0)  #: of the squared error of center scores
    empty_label: float = Field(default=0.4, ge=0, le=1)  #: center label of a proposal without a click
    inside_logits: bool = False  #: published: attention scales the logits in training (defect P9)
    normalize_rows: bool = True  #: published: False, several classes in a proposal count fully each
    several: Literal["max", "first"] = "max"  #: of several clicks: the best centered, or the first in the file (P15)
    foreign: Literal["zero", "ignore"] = "zero"  #: a click of another class makes the center label 0
    crowded: Literal["divide", "ignore"] = "divide"  #: n clicks of the class divide the center label by n
    update: Literal["absolute", "published", "none"] = "absolute"  #: saliency point update (P1)
    update_every: int = Field(default=200, ge=1, le=MAX_COUNT)  #: steps between two updates
    update_threshold: float = Field(default=0.8, ge=0, le=1)  #: center score above which a proposal votes
    max_proposals: int = Field(default=1000, ge=1, le=MAX_COUNT)  #: per video and step (P2)
    batch: int = Field(default=10, ge=1, le=MAX_COUNT)  #: videos per step


class QualityObjective(Recipe):
    """The default target: tIoU with pseudo segments (training/objectives/quality_task.py)."""

    kind: Literal["quality"] = "quality"
    around: int = Field(default=40, ge=2, le=MAX_SIZE)  #: jittered candidates per pseudo segment
    elsewhere: int = Field(default=20, ge=1, le=MAX_SIZE)  #: candidates anywhere in the video, per pseudo segment
    saliency_weight: float = Field(default=1.0, ge=0)  #: of the squared error of the center score
    batch: int = Field(default=256, ge=1, le=MAX_COUNT)  #: candidates per step


class OptimConfig(Recipe):
    """Optimizer, learning rate schedule and length of one training stage."""

    epochs: int = Field(default=300, ge=1, le=MAX_COUNT)  #: passes over the clicks, the snippets (crops) or the videos
    steps: int | None = Field(default=None, ge=1, le=MAX_COUNT)  #: number of steps; overrides epochs
    least_steps: int = Field(default=1, ge=1, le=MAX_COUNT)  #: lower bound of the steps that the epochs amount to
    rate: float = Field(default=1e-3, gt=0)  #: the highest learning rate of the schedule
    weight_decay: float = Field(default=1e-3, ge=0)
    decoupled: bool = True  #: AdamW; False: Adam with an L2 penalty, as published
    schedule: Literal["cosine", "one-cycle", "constant"] = "cosine"
    clip_gradient: float | None = Field(default=None, gt=0)  #: bound of the gradient's norm

    def length(self, steps: int) -> int:
        """The number of steps of a stage whose epochs amount to `steps`; 0 if there is nothing to learn from."""
        return self.steps if self.steps is not None else max(steps, self.least_steps) if steps else 0


class NetworkRecipe(Recipe):
    """A further network of the locator, trained separately; the tracks of all networks are averaged."""

    locator: LocatorConfig = LocatorConfig()
    objective: LocatorObjective = Field(default_factory=PointsObjective, discriminator="kind")
    optim: OptimConfig = OptimConfig()


Chosen = Literal["adapt", "class_probability", "contrast"]
"""A setting of post-processing that the folds of a calibration can choose."""

_CROPS = PointsObjective(
    sampling="crops", batch=16, window=64, smoothness=1.0, background_at="auto", background_weight=0.07, balance=0.7
)
_UNIT = Normalisation(unit_length=True)


def _stack(kernel: int, units: int, dilations: tuple[int, ...]) -> LocatorConfig:
    hidden = tuple(HiddenLayer(kernel=kernel, units=units, dilation=d, residual=True) for d in dilations)
    return LocatorConfig(normalisation=_UNIT, embed=units, hidden=hidden, input_dropout=0.5, members=2)


def _schedule(rate: float) -> OptimConfig:
    return OptimConfig(epochs=15, rate=rate, weight_decay=1e-2, schedule="one-cycle")


class TrainConfig(Recipe):
    """The whole training recipe.

    Default: small networks with three different receptive fields, two of each, trained for 15 epochs and averaged (a
    few hundred clicks overfit anything larger or longer); then a center scorer that learns tIoU with pseudo segments.
    """

    seed: int = Field(default=0, ge=0, le=MAX_SEED)
    locator: LocatorConfig = LocatorConfig(input_dropout=0.3, members=2)
    objective: LocatorObjective = Field(default=_CROPS, discriminator="kind")
    locator_optim: OptimConfig = _schedule(1e-3)
    partners: tuple[NetworkRecipe, ...] = (
        NetworkRecipe(locator=_stack(3, 64, (1, 2, 4, 8, 16)), objective=_CROPS, optim=_schedule(2e-3)),
        NetworkRecipe(locator=_stack(5, 128, (1, 2, 4)), objective=_CROPS, optim=_schedule(2e-3)),
    )
    center: CenterConfig | None = CenterConfig(normalisation=_UNIT, use_tracks=False, input_dropout=0.5, members=2)
    center_objective: CenterObjective | QualityObjective = Field(default=QualityObjective(), discriminator="kind")
    center_optim: OptimConfig = OptimConfig(steps=300, rate=2e-3, weight_decay=1e-2, schedule="one-cycle")
    post: PostProcess = Field(default_factory=lambda: PostProcess.model_validate({"fusion": {"center": 1.0}}))
    choose: tuple[Chosen, ...] = ("adapt", "class_probability", "contrast")
    """Settings of `post` that the folds choose; by default those that `post` does not state."""
    folds: int = Field(default=3, ge=0, le=MAX_COUNT)  #: of videos, for the calibration of scores; 0: no calibration
    holdout: float = Field(default=0.0, ge=0, lt=1)  #: share of the TRAINING videos kept for model selection
    select: Literal["last", "best"] = "last"  #: best: by clicks of the held-out videos
    evaluate_every: int = Field(default=50, ge=1, le=MAX_COUNT)  #: steps, with select = best
    save_every: int = Field(default=100, ge=1, le=MAX_COUNT)  #: steps between two saved states to resume from

    @field_validator("post", mode="before")
    @classmethod
    def _known_fields(cls, value: Any) -> Any:
        """A manifest may carry fields of later versions; in a recipe an unknown field is a spelling mistake."""
        if isinstance(value, dict):
            unknown = set(value) - set(PostProcess.model_fields)
            fusion = value.get("fusion")
            if isinstance(fusion, dict):
                unknown |= set(fusion) - set(Fusion.model_fields)
            if unknown:
                raise ValueError(f"unknown fields {sorted(unknown)}")
        return value

    @model_validator(mode="before")
    @classmethod
    def _choose_what_is_not_stated(cls, value: Any) -> Any:
        """Make the choice explicit, so that a recorded recipe, whose `post` states every field, chooses the same."""
        if isinstance(value, Mapping) and "choose" not in value:
            stated = _stated(value.get("post"))
            return {**value, "choose": tuple(name for name in cls.model_fields["choose"].default if name not in stated)}
        return value

    @field_validator("choose")
    @classmethod
    def _in_order(cls, value: tuple[Chosen, ...]) -> tuple[Chosen, ...]:
        if len(set(value)) < len(value):
            raise ValueError("names must differ")
        return tuple(sorted(value))

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy with changed fields. What a new `post` changes or states anew is no longer chosen by the folds."""
        changes = dict(update or {})
        post = changes.get("post")
        if isinstance(post, PostProcess) and "choose" not in changes:
            stated = _stated(post) - _stated(self.post)
            stated |= {"adapt"} if post.adapt != self.post.adapt else set()
            for name in ("class_probability", "contrast"):
                if getattr(post.fusion, name) != getattr(self.post.fusion, name):
                    stated.add(name)
            changes["choose"] = tuple(name for name in self.choose if name not in stated)
        return super().model_copy(update=changes, deep=deep)

    @model_validator(mode="after")
    def _residual_widths(self) -> TrainConfig:
        for recipe in self.networks:
            width = recipe.locator.embed
            for layer in recipe.locator.hidden:
                if layer.residual and layer.units != width:
                    raise ValueError(f"a residual layer of {layer.units} units on an input of width {width or 'D'}")
                width = layer.units
        return self

    @model_validator(mode="after")
    def _quality_head(self) -> TrainConfig:
        head = self.center
        if head is None or not isinstance(self.center_objective, QualityObjective):
            return self
        if head.kind != "center" or head.use_tracks:
            raise ValueError('the quality objective needs center.kind = "center" and center.use_tracks = false')
        return self

    @property
    def networks(self) -> tuple[NetworkRecipe, ...]:
        """All networks of the locator, including the first."""
        first = NetworkRecipe(locator=self.locator, objective=self.objective, optim=self.locator_optim)
        return (first, *self.partners)

    @model_validator(mode="after")
    def _selection_needs_holdout(self) -> TrainConfig:
        if self.select == "best" and self.holdout == 0:
            raise ValueError('select = "best" needs holdout > 0: models are never selected on test videos')
        return self


def _stated(post: Any) -> set[str]:
    """Which fields of post-processing and fusion a recipe states."""
    if isinstance(post, PostProcess):
        return post.model_fields_set | post.fusion.model_fields_set
    if isinstance(post, Mapping):
        return set(post) | _stated_names(post.get("fusion"))
    return set()


def _stated_names(fusion: Any) -> set[str]:
    if isinstance(fusion, Fusion):
        return set(fusion.model_fields_set)
    return set(fusion) if isinstance(fusion, Mapping) else set()

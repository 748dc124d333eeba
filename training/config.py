"""The recipe of a training run as data: what config.json holds and `--config` reads.

Every published rule that the default recipe changes is a field here, so each change has its ablation.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from punctum.runtime.bundle.config import Fusion, PostProcess
from punctum.runtime.datasets.tables import read_json
from punctum.runtime.errors import InputError
from punctum.runtime.text.display import plain
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

R = TypeVar("R", bound=BaseModel)

MOST = 1 << 16  # of a network's units, kernel sizes and the like
LONGEST = 10**9  # of steps, epochs, batches
LARGEST_SEED = 2**53  # what JSON, NumPy and torch all take


class Recipe(BaseModel):
    """Part of a recipe: read from a file or changed in a copy, its fields are known, of their type and in range."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy with changed fields. Raises InputError by field name, as reading them from a file does."""
        values = {name: getattr(self, name) for name in type(self).model_fields} | dict(update or {})
        try:
            return type(self).model_validate(values)
        except ValidationError as error:
            raise explain(error, type(self).__name__) from None


class Normalisation(Recipe):
    """What the graphs do to features first. Statistics come from the training videos."""

    unit_length: bool = False  # divide every snippet by its own Euclidean norm, before the statistics
    standardise: bool = True  # subtract the mean and divide by the standard deviation per dimension
    clip: float | None = Field(default=5.0, gt=0)  # in standard deviations; an outlier cannot dominate


class HiddenLayer(Recipe):
    """One temporal convolution and a ReLU. It sees (kernel - 1) * dilation + 1 snippets.

    A residual layer adds its result, mixed by a 1x1 convolution and with whole channels dropped, to its input,
    whose width it has to keep.
    """

    kernel: int = Field(default=9, ge=1, le=MOST)
    units: int = Field(default=256, ge=1, le=MOST)
    dilation: int = Field(default=1, ge=1, le=MOST)
    residual: bool = False


class LocatorConfig(Recipe):
    """A temporal network with a finite receptive field: features [T, D] -> class track, actionness."""

    normalisation: Normalisation = Normalisation()
    embed: int = Field(default=0, ge=0, le=MOST)  # width of a linear map of every snippet before the layers; 0: none
    hidden: tuple[HiddenLayer, ...] = (HiddenLayer(),)  # () is one linear layer (see `linear_kernel`)
    linear_kernel: int = Field(default=1, ge=1, le=MOST)  # snippets the output layer sees
    dropout: float = Field(default=0.5, ge=0, lt=1)  # before the output layer; in residual layers by channel
    input_dropout: float = Field(default=0.0, ge=0, lt=1)  # drops a feature dimension in the whole window
    max_right: int | None = Field(default=None, ge=0, le=LONGEST)  # look-ahead in snippets; None: symmetric, 0: causal
    smooth: int = Field(default=1, ge=0, le=MOST)  # passes of a 3-point mean over the tracks, inside the graph
    output: Literal["softmax", "sigmoid"] = "softmax"  # sigmoid: LACP, P = S * (1 - background)
    output_bias: bool = True
    members: int = Field(default=1, ge=1, le=1000)  # networks of this shape whose probabilities are averaged


class PointsObjective(Recipe):
    """Cross-entropy at clicks and between them (training/objectives/points.py)."""

    kind: Literal["points"] = "points"
    background_share: float = Field(default=0.4, gt=0, le=1)  # part of the gap between two clicks
    background_at: Annotated[float, Field(gt=0, lt=1)] | Literal["auto"] = 0.5  # its middle; auto: from the features
    edge_background: Literal["auto", "always", "never", "before"] = "auto"  # also before the first and after the last
    background_weight: float | None = Field(default=None, gt=0, le=1)  # crops: of every snippet; None: 1 a gap
    balance: float = Field(default=0.0, ge=0, le=1)  # crops: a click counts for (rarest / own count) ** balance
    smoothness: float = Field(default=0.05, ge=0)
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    noise: float = Field(default=0.0, ge=0)  # standard deviation added to normalised features
    hide_future: float = Field(default=0.0, ge=0, le=1)  # crops: share of windows that break off, as a stream does
    sampling: Literal["sites", "crops"] = "sites"  # single clicks and gaps, or whole stretches of video
    batch: int = Field(default=256, ge=1, le=LONGEST)  # sites: clicks a step, with as many gaps; crops: windows a step
    window: int = Field(default=2, ge=2, le=LONGEST)  # output snippets per training window; 64 suits crops


class LacpObjective(Recipe):
    """LACP (Lee and Byun, ICCV 2021), docs/method/lacp.md."""

    kind: Literal["lacp"] = "lacp"
    weights: tuple[float, float, float, float, float] = (1.0, 0.5, 1.0, 1.0, 1.0)  # video, frame, bkg, score, feat
    temperature: float = Field(default=0.1, gt=0)
    search_every: int = Field(default=10, ge=1, le=LONGEST)
    action_threshold: float = 0.1
    background_threshold: float = 0.95
    published_bug: bool = False  # contrast only the last class of a video, as the released code does
    batch: int = Field(default=16, ge=1, le=LONGEST)  # videos a step

    @model_validator(mode="before")
    @classmethod
    def _exact(cls, value: Any) -> Any:
        if isinstance(value, dict) and "budget" in value:
            raise ValueError("budget has no effect: the search is exact and has no beam width")
        return value


class CenterConfig(Recipe):
    """The proposal-level head."""

    kind: Literal["center", "published"] = "center"
    bins: int = Field(default=12, ge=6, le=6000, multiple_of=6)
    context: float = Field(default=0.25, ge=0)
    max_context_s: float | None = Field(default=None, gt=0)  # None: the post-processing's right_context_s
    normalisation: Normalisation = Normalisation()
    use_tracks: bool = True  # pooled class track of the proposal's class and actionness
    use_length: bool = True  # logarithm of the length in snippets
    embed: int = Field(default=64, ge=0, le=MOST)  # per-bin linear map; 0: none
    hidden: int = Field(default=256, ge=1, le=MOST)
    dropout: float = Field(default=0.5, ge=0, lt=1)
    input_dropout: float = Field(default=0.3, ge=0, lt=1)
    members: int = Field(default=1, ge=1, le=1000)  # heads of this shape whose outputs are averaged
    attention: bool = False  # a class-agnostic third output; off: constant 1
    accumulate: Literal["float64", "float32"] = "float64"  # float32 for engines without doubles


class CenterObjective(Recipe):
    """Point and saliency losses of TSPNet (Xia et al., CVPR 2024), docs/method/tspnet.md, and what we change."""

    kind: Literal["points"] = "points"
    saliency_weight: float = Field(default=20.0, ge=0)
    empty_label: float = Field(default=0.4, ge=0, le=1)  # center label of a proposal without a click
    inside_logits: bool = False  # published: attention scales the logits in training (defect P9)
    normalise_rows: bool = True  # published: several classes in a proposal count once each, unnormalised
    several: Literal["max", "first"] = "max"  # several clicks in a proposal: best centred, or first in file
    foreign: Literal["zero", "ignore"] = "zero"  # proposal holding another class's click: center label 0
    crowded: Literal["divide", "ignore"] = "divide"  # n clicks of the class: center label / n
    update: Literal["absolute", "published", "none"] = "absolute"  # saliency point update
    update_every: int = Field(default=200, ge=1, le=LONGEST)  # steps
    update_threshold: float = Field(default=0.8, ge=0, le=1)
    max_proposals: int = Field(default=1000, ge=1, le=LONGEST)  # a video, cut in the data set, never in the model (P2)
    batch: int = Field(default=10, ge=1, le=LONGEST)  # videos a step


class QualityObjective(Recipe):
    """Overlap with pseudo segments instead of the published center label (training/objectives/quality_task.py)."""

    kind: Literal["quality"] = "quality"
    around: int = Field(default=40, ge=2, le=MOST)  # jittered candidates per pseudo segment
    elsewhere: int = Field(default=20, ge=1, le=MOST)  # candidates anywhere, per pseudo segment
    saliency_weight: float = Field(default=1.0, ge=0)
    batch: int = Field(default=256, ge=1, le=LONGEST)  # candidates a step


class OptimConfig(Recipe):
    epochs: int = Field(default=300, ge=1, le=LONGEST)  # one pass over the clicks, the snippets (crops) or the videos
    steps: int | None = Field(default=None, ge=1, le=LONGEST)  # instead of epochs
    rate: float = Field(default=1e-3, gt=0)
    weight_decay: float = Field(default=1e-3, ge=0)
    decoupled: bool = True  # AdamW; False: Adam with L2, as published
    schedule: Literal["cosine", "one-cycle", "constant"] = "cosine"
    clip_gradient: float | None = Field(default=None, gt=0)


class NetworkRecipe(Recipe):
    """A further network of the locator, trained on its own; the tracks of all are averaged."""

    locator: LocatorConfig = LocatorConfig()
    objective: PointsObjective | LacpObjective = Field(default_factory=PointsObjective, discriminator="kind")
    optim: OptimConfig = OptimConfig()


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
    """The whole recipe.

    Default: small networks of three different reaches, two of each, trained for 15 epochs (a few hundred clicks
    over-fit anything larger or longer) and averaged; then a head that learns overlap with pseudo segments.
    """

    seed: int = Field(default=0, ge=0, le=LARGEST_SEED)
    locator: LocatorConfig = LocatorConfig(input_dropout=0.3, members=2)
    objective: PointsObjective | LacpObjective = Field(default=_CROPS, discriminator="kind")
    locator_optim: OptimConfig = _schedule(1e-3)
    partners: tuple[NetworkRecipe, ...] = (
        NetworkRecipe(locator=_stack(3, 64, (1, 2, 4, 8, 16)), objective=_CROPS, optim=_schedule(2e-3)),
        NetworkRecipe(locator=_stack(5, 128, (1, 2, 4)), objective=_CROPS, optim=_schedule(2e-3)),
    )
    center: CenterConfig | None = CenterConfig(normalisation=_UNIT, use_tracks=False, input_dropout=0.5, members=2)
    center_objective: CenterObjective | QualityObjective = Field(default=QualityObjective(), discriminator="kind")
    center_optim: OptimConfig = OptimConfig(steps=300, rate=2e-3, weight_decay=1e-2, schedule="one-cycle")
    post: PostProcess = Field(
        default_factory=lambda: PostProcess.model_validate({"fusion": {"center": 1.0, "contrast": 1.0}})
    )
    holdout: float = Field(default=0.0, ge=0, lt=1)  # share of the TRAINING videos kept aside
    select: Literal["last", "best"] = "last"  # best: by the point criterion on the held-out videos
    evaluate_every: int = Field(default=50, ge=1, le=LONGEST)  # steps, with select = best
    save_every: int = Field(default=100, ge=1, le=LONGEST)  # steps between two states to resume from

    @field_validator("post", mode="before")
    @classmethod
    def _known_fields(cls, value: Any) -> Any:
        """A manifest may carry fields of later versions; a recipe with an unknown field has a typing error."""
        if isinstance(value, dict):
            unknown = set(value) - set(PostProcess.model_fields)
            fusion = value.get("fusion")
            if isinstance(fusion, dict):
                unknown |= set(fusion) - set(Fusion.model_fields)
            if unknown:
                raise ValueError(f"unknown fields {sorted(unknown)}")
        return value

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
        """All networks of the locator, the first included."""
        first = NetworkRecipe(locator=self.locator, objective=self.objective, optim=self.locator_optim)
        return (first, *self.partners)

    @model_validator(mode="after")
    def _selection_needs_holdout(self) -> TrainConfig:
        if self.select == "best" and self.holdout == 0:
            raise ValueError('select = "best" needs holdout > 0: models are never chosen on test videos')
        return self


def load_config(path: Path) -> TrainConfig:
    """Read a recipe file: the fields of `TrainConfig`, all optional. Raises InputError by field name."""
    from .effects import refuse_idle, train_fields

    recipe = read_recipe(path, TrainConfig)
    refuse_idle(path, train_fields(recipe))
    return recipe


def read_recipe(path: Path, kind: type[R]) -> R:
    """Read a JSON file as a model whose fields are all optional. Raises InputError by field name."""
    try:
        absent = "" if path.is_file() else "is no file"
    except (OSError, ValueError) as error:
        absent = f"cannot be read ({error})"
    if absent:
        raise InputError("config-unreadable", f"{path} {absent}", "a JSON file", "check --config")
    record = read_json(path)
    try:
        return kind.model_validate(_tuples(record), strict=True)  # "5" and true are no numbers
    except ValidationError as error:
        raise explain(error, kind.__name__, path) from None


def _tuples(value: Any) -> Any:
    """JSON has lists where recipes have tuples."""
    if isinstance(value, dict):
        return {name: _tuples(item) for name, item in value.items()}
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value


def explain(error: ValidationError, kind: str, path: Path | None = None) -> InputError:
    """The first thing that is wrong with a recipe."""
    first: Any = error.errors(include_url=False)[0]
    field = ".".join(str(part) for part in first["loc"]) or "the recipe"
    return InputError(
        "config-invalid",
        plain(f"{'' if path is None else f'{path}: '}{field}: {first['msg']}"),
        f"the fields of {kind}, all optional (the recipe that a finished run records shows them)",
        f"correct {plain(field)}",
    )

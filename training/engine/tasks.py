"""The task of each stage: the objective that the recipe names, on the videos of the run."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from punctum.runtime.bundle.config import PostProcess
from punctum.runtime.session.post import propose

from ..arrays import F32
from ..config import LacpObjective, NetworkRecipe, OwnObjective, QualityObjective, TrainConfig
from ..data.proposals import VideoProposals, clean
from ..data.videos import Sample, TrainingSet
from ..models.center import CenterHead, ProposalHead
from ..models.ensemble import Locator
from ..models.locator import LocatorNet
from ..objectives.center_task import CenterTask, CenterVideo
from ..objectives.points import PointsTask
from ..objectives.quality_task import QualityTask
from .task import Task


def locator_task(name: str, net: LocatorNet, data: TrainingSet, recipe: NetworkRecipe, *, seed: int) -> Task:
    """The task of one network of the locator. name: of the stage."""
    objective, epochs = recipe.objective, recipe.optim.epochs
    task: Task
    if isinstance(objective, LacpObjective):
        from ..objectives.lacp_task import LacpTask

        task = LacpTask(net, data, objective, epochs=epochs, seed=seed)
    elif isinstance(objective, OwnObjective):
        from ..objectives.own import own_task

        task = own_task(objective.factory, net, data, epochs=epochs, seed=seed)
    else:
        task = PointsTask(net, data, objective, epochs=epochs, seed=seed)
    task.name = name
    return task


def center_task(
    center: ProposalHead,
    locator: Locator,
    data: TrainingSet,
    config: TrainConfig,
    proposals: Mapping[str, VideoProposals] | None,
    *,
    device: torch.device,
) -> Task:
    """The task of the center scorer.

    Args:
        center: its network.
        locator: trained; gives the tracks, and the proposals where none are given.
        data: the videos.
        config: the recipe.
        proposals: those of another base locator, by video.
        device: of the networks.
    """
    samples = (*data.samples, *data.held_out)
    videos = [
        _with_proposals(locator, sample, proposals, config.post, stride_s=data.stride_s, device=device)
        for sample in samples
    ]
    training, held_out = videos[: len(data.samples)], videos[len(data.samples) :]
    rule, epochs, seed = config.center_objective, config.center_optim.epochs, config.seed
    if not isinstance(rule, QualityObjective):
        return CenterTask(center, training, held_out, rule, epochs=epochs, seed=seed)
    if not isinstance(center, CenterHead):
        raise RuntimeError("the quality objective needs a CenterHead")  # the recipe is checked when it is read
    return QualityTask(center, training, held_out, rule, epochs=epochs, seed=seed, use_proposals=proposals is not None)


def _with_proposals(
    locator: Locator,
    sample: Sample,
    external: Mapping[str, VideoProposals] | None,
    post: PostProcess,
    *,
    stride_s: float,
    device: torch.device,
) -> CenterVideo:
    """Tracks of one video, and its proposals: external ones if there are any, else those of the locator."""
    with torch.no_grad():
        p, a = (x.cpu().numpy() for x in locator.eval()(torch.from_numpy(sample.features).to(device)))
    tracks: F32 = np.concatenate([p, a[:, None]], axis=1)
    if external is not None:
        none = VideoProposals(np.zeros((0, 2)), np.zeros(0, np.int64), np.zeros(0))
        return CenterVideo(sample, tracks, external.get(sample.video, none))
    proposals = propose(p, a, post, stride_s=stride_s)
    cleaned, _ = clean(proposals.segments, proposals.label, proposals.contrast, snippets=len(sample.features))
    return CenterVideo(sample, tracks, cleaned)

"""One step of every objective from outside of this package, before anything is written.

An objective that cannot be trained is thus found before there is a run folder, in which the corrected command would be
refused.
"""

from __future__ import annotations

import numpy as np
import torch

from ..config import OwnObjective, TrainConfig
from ..data.videos import TrainingSet
from ..models.build import build_locator
from ..models.ensemble import nets_of
from ..objectives.guard import differentiate
from ..objectives.own import check_objective
from .tasks import locator_task


def try_objectives(data: TrainingSet, config: TrainConfig, device: torch.device) -> None:
    """Import each objective of one's own, make its task and compute a loss and its gradient.

    Raises:
        InputError: it fails, or returns something else.
    """
    own = {n.objective.factory: k for k, n in enumerate(config.networks) if isinstance(n.objective, OwnObjective)}
    for source in own:
        check_objective(source)
    if not own:
        return
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)
        nets = nets_of(build_locator(config, dim=data.feature_dim, classes=len(data.labels)).to(device))
        for index in own.values():
            net = nets[index]
            net.normalise.fit([torch.from_numpy(sample.features) for sample in data.samples])
            task = locator_task("locator", net, data, config.networks[index], seed=config.seed)
            task.module.train()
            loss, _ = task.step_loss(0, np.random.default_rng(config.seed))
            differentiate(task, loss)

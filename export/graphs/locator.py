"""The locator as a graph written for engines: the function of the modules in fewer and larger operators.

* Members of a network run as one grouped convolution, and all networks share one softmax.
* Convolutions are two-dimensional with a height of 1, and input channels come in multiples of four, the form for which
  engines have the fastest kernels (ONNX Runtime on a CPU: 1.2 to 1.6 times as fast as the one-dimensional form).
"""

from __future__ import annotations

import numpy as np
import torch
from punctum.training.arrays import F32
from punctum.training.models.ensemble import Locator, LocatorEnsemble, nets_of
from punctum.training.models.locator import FeatureNormalizer, LocatorNet

from .writer import END, FLOAT, GraphWriter

LANES = 4  # input channels are padded to a multiple of this


def array_of(tensor: torch.Tensor) -> F32:
    """A tensor as a NumPy array."""
    array: F32 = tensor.detach().cpu().numpy().astype(np.float32)
    return array


def trained_nets(locator: Locator) -> list[tuple[LocatorNet, float]]:
    """The trained networks with their weights in the mean."""
    nets = nets_of(locator)
    shares = locator.share.tolist() if isinstance(locator, LocatorEnsemble) else [1.0]
    return [(net, share) for net, share in zip(nets, shares, strict=True) if share > 0]


def fits(locator: Locator) -> bool:
    """Whether the locator has this form: the same smoothing and output for all networks, weights that sum to 1."""
    nets = trained_nets(locator)
    kinds = {(net.config.output, tuple(net._smooth_right)) for net, _ in nets}
    return len(kinds) == 1 and abs(sum(share for _, share in nets) - 1.0) < 1e-6


def normalized(w: GraphWriter, x: str, norm: FeatureNormalizer) -> str:
    """x [..., D] as `FeatureNormalizer` makes it."""
    config = norm.config
    if config.unit_length:
        size = w.add("ReduceL2", x, w.constant([-1], np.int64), keepdims=1)
        x = w.add("Div", x, w.add("Add", size, w.constant(1e-6)))
    if config.standardise:
        x = w.add("Div", w.add("Sub", x, w.constant(array_of(norm.mean))), w.constant(array_of(norm.deviation)))
    if config.clip is not None:
        x = w.add("Clip", x, w.constant(-config.clip), w.constant(config.clip))
    return x


def write_locator(locator: Locator) -> bytes:
    """features [B, T, D] -> class_track [B, T, C], actionness [B, T]."""
    w = GraphWriter()
    nets = trained_nets(locator)
    first = nets[0][0]
    dim, classes = locator.dim, locator.classes
    left, right = max(net.left for net, _ in nets), max(net.right for net, _ in nets)
    padded: dict[tuple[object, ...], str] = {}
    logits, weights = [], list[float]()
    for net, share in nets:
        norm = net.normalise
        key = (norm.config, norm.mean.numpy(force=True).tobytes(), norm.deviation.numpy(force=True).tobytes())
        if key not in padded:
            padded[key] = _padded(w, normalized(w, "features", norm), dim, left, right)
        x = padded[key]
        if (net.left, net.right) != (left, right):
            x = w.slice(x, 3, left - net.left, END if net.right == right else net.right - right)
        logits.append(_network(w, net, x))
        weights += [share / net.config.members] * net.config.members
    # [B, members * (C + 1), 1, T] -> [B, T, members, C + 1]
    every = logits[0] if len(logits) == 1 else w.add("Concat", *logits, axis=1)
    shaped = w.add("Reshape", every, w.constant([0, len(weights), classes + 1, -1], np.int64))
    tracks = _mean(w, _probabilities(w, w.add("Transpose", shaped, perm=[0, 3, 1, 2]), first), weights)
    for ahead in first._smooth_right:
        tracks = _smoothed(w, tracks, ahead)
    w.slice(tracks, 2, 0, classes, name="class_track")
    action = w.add("Sub", w.constant(1.0), w.slice(tracks, 2, classes))
    w.add("Squeeze", action, w.constant([2], np.int64), name="actionness")
    return w.finish(
        {"features": (FLOAT, ["B", "T", dim])},
        {"class_track": ["B", "T", classes], "actionness": ["B", "T"]},
    )


def _padded(w: GraphWriter, x: str, dim: int, left: int, right: int) -> str:
    """[B, T, D] -> [B, D', 1, left + T + right] with D' a multiple of LANES, zeros around."""
    rows = w.add("Unsqueeze", w.add("Transpose", x, perm=[0, 2, 1]), w.constant([2], np.int64))
    return w.add("Pad", rows, w.constant([0, 0, 0, left, 0, -dim % LANES, 0, right], np.int64))


def _network(w: GraphWriter, net: LocatorNet, x: str) -> str:
    """Padded windows -> logits [B, members * (C + 1), 1, W]."""
    config, members = net.config, list(net.members)
    count, shared, h = len(members), True, x  # shared: h is the input of every member

    def convolution(parts: list[torch.nn.Conv1d], x: str) -> str:
        weight = np.concatenate([array_of(part.weight) for part in parts])[:, :, None]
        if shared:
            weight = np.pad(weight, ((0, 0), (0, -weight.shape[1] % LANES), (0, 0), (0, 0)))
        bias = [] if parts[0].bias is None else [w.constant(np.concatenate([array_of(p.bias) for p in parts]))]
        dilation = [1, int(parts[0].dilation[0])]
        return w.add("Conv", x, w.constant(weight), *bias, dilations=dilation, group=1 if shared else count)

    if config.embed:
        h, shared = convolution([member.embed for member in members], h), False
    for k, layer in enumerate(config.hidden):
        left, right = members[0].shifts[k]
        y = w.add("Relu", convolution([member.hidden[k] for member in members], h))
        before, entered, shared = h, shared, False
        if layer.residual:
            inner = w.slice(before, 3, left, -right if right else END)
            if entered:
                inner = w.slice(inner, 1, 0, net.dim)
                inner = w.add("Concat", *[inner] * count, axis=1) if count > 1 else inner
            y = w.add("Add", inner, convolution([member.mix[k] for member in members], y))
        h = y
    return convolution([member.output for member in members], h)


def _probabilities(w: GraphWriter, logits: str, net: LocatorNet) -> str:
    """[B, W, members, C + 1] -> class probabilities and background."""
    if net.config.output == "softmax":
        return w.add("Softmax", logits, axis=-1)
    s = w.add("Sigmoid", logits)
    background = w.slice(s, 3, net.classes)
    scores = w.add("Mul", w.slice(s, 3, 0, net.classes), w.add("Sub", w.constant(1.0), background))
    return w.add("Concat", scores, background, axis=3)


def _mean(w: GraphWriter, x: str, weights: list[float]) -> str:
    """Weighted mean over the members: [B, W, members, C + 1] -> [B, W, C + 1]."""
    axis = w.constant([2], np.int64)
    if max(weights) - min(weights) < 1e-9:
        return w.add("ReduceMean", x, axis, keepdims=0)
    return w.add("ReduceSum", w.add("Mul", x, w.constant(np.array(weights)[:, None])), axis, keepdims=0)


def _smoothed(w: GraphWriter, x: str, right: int) -> str:
    """One pass of a 3-point mean over axis 1, edges repeated; `right` of the two neighbors are later ones."""
    padded = w.add("Pad", x, w.constant([0, 2 - right, 0, 0, right, 0], np.int64), mode="edge")
    parts = [w.slice(padded, 1, k, k - 2 if k < 2 else END) for k in range(3)]
    return w.add("Div", w.add("Add", w.add("Add", parts[0], parts[1]), parts[2]), w.constant(3.0))

"""The center scorer as a graph written for engines: the function of `CenterHead` in a cheaper order.

* Embedding and pooling are both linear, so snippets are embedded once and pooling works on the few embedded columns.
  Its cost does not grow with proposals x bins x feature dimension.
* The integral of the interpolant up to the edge of a bin is a combination of three neighboring running sums. All edges
  of a proposal are gathered at once, and one small matrix product gives the means over its bins.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from punctum.training.models.center import CenterHead, ProposalHead
from torch import nn

from .locator import array_of, normalized
from .writer import DOUBLE, FLOAT, INT64, GraphWriter

TAPS = 3


def fits(head: ProposalHead) -> bool:
    """Whether the head has this form."""
    return isinstance(head, CenterHead) and head.config.embed > 0 and not head.config.use_tracks


def write_center(head: CenterHead) -> bytes:
    """features [T, D], tracks [T, C + 1], segments [M, 2], labels [M] -> class_probability, attention, center."""
    w = GraphWriter()
    config, members, classes = head.config, list(head.members), head.classes
    bins, count = config.bins, len(members)
    embed = np.concatenate([array_of(m.embed.weight) for m in members]).T
    x = w.add("MatMul", normalized(w, "features", head.normalise), w.constant(embed))  # [T, K * E]
    means, length = _pooled(w, head, x)
    parts = [means] if count == 1 else w.add_several("Split", means, outputs=count, axis=2, num_outputs=count)
    width = w.constant([0, bins * config.embed], np.int64)
    log = w.add("Log", w.add("Max", length, w.constant(1e-3))) if config.use_length else ""
    # One product per member: engines pack constant two-dimensional matrices in advance.
    hidden = [_hidden(w, head, m, w.add("Reshape", part, width), log) for m, part in zip(members, parts, strict=True)]
    # All outputs in one product: class logits of every member, then center scores, then attention.
    kinds = [range(classes + 1), range(classes + 1, classes + 2)]
    kinds += [range(classes + 2, classes + 3)] if config.attention else []
    weight = [np.zeros((count, config.hidden, count, len(kind)), np.float32) for kind in kinds]
    for k, member in enumerate(members):
        for block, kind in zip(weight, kinds, strict=True):
            block[k, :, k] = array_of(member.output.weight)[kind].T
    bias = [np.stack([array_of(m.output.bias)[kind] for m in members]).reshape(-1) for kind in kinds]
    flat = np.concatenate([block.reshape(count * config.hidden, -1) for block in weight], axis=1)
    joined = hidden[0] if count == 1 else w.add("Concat", *hidden, axis=1)
    out = w.add("Gemm", joined, w.constant(flat), w.constant(np.concatenate(bias)))
    sizes = w.constant([len(b) for b in bias], np.int64)
    logits, center, *attention = w.add_several("Split", out, sizes, outputs=len(kinds), axis=1)
    across = w.constant([1], np.int64)
    scores = w.add("Softmax", w.add("Reshape", logits, w.constant([0, count, classes + 1], np.int64)), axis=-1)
    w.slice(w.add("ReduceMean", scores, across, keepdims=0), 1, 0, classes, name="class_probability")
    w.add("ReduceMean", w.add("Sigmoid", center), across, keepdims=0, name="center")
    if attention:
        w.add("ReduceMean", w.add("Sigmoid", attention[0]), across, keepdims=0, name="attention")
    else:  # without attention the output is 1
        w.add("Clip", "center", w.constant(1.0), w.constant(1.0), name="attention")
    return w.finish(
        {
            "features": (FLOAT, ["T", head.dim]),
            "tracks": (FLOAT, ["T", classes + 1]),
            "segments": (FLOAT, ["M", 2]),
            "labels": (INT64, ["M"]),
        },
        {"class_probability": ["M", classes], "attention": ["M"], "center": ["M"]},
    )


def _hidden(w: GraphWriter, head: CenterHead, member: nn.Module, x: str, log: str) -> str:
    """Pooled embeddings [M, bins * E] (without their bias) and log lengths [M, 1] -> hidden layer [M, H]."""
    width = head.config.bins * head.config.embed
    weight = array_of(member.hidden.weight).astype(np.float64)
    # The embedding's bias is the same in every bin, so it becomes part of the hidden layer's bias.
    bias = array_of(member.hidden.bias) + weight[:, :width] @ np.tile(array_of(member.embed.bias), head.config.bins)
    along = np.zeros(0)
    if head.config.use_length:
        along = weight[:, width] / float(head.length_deviation)
        bias = bias - along * float(head.length_mean)
    # The bias stays constant: a Gemm with a computed third input has no int8 form.
    y = w.add("Gemm", x, w.constant(weight[:, :width].T), w.constant(bias))
    if head.config.use_length:
        y = w.add("Add", y, w.add("Mul", log, w.constant(along[None])))
    return w.add("Relu", y)


def _pooled(w: GraphWriter, head: CenterHead, x: str) -> tuple[str, str]:
    """Means over the bins of every segment, as in `SegmentPool`, and lengths: [T, E] -> [M, bins, E], [M, 1]."""
    pool, bins = head.pooling, head.config.bins
    double = head.config.accumulate == "float64"
    kind = DOUBLE if double else FLOAT

    def number(value: npt.ArrayLike) -> str:
        return w.constant(value, np.float64 if double else np.float32)

    def cast(name: str, to: int) -> str:
        return w.add("Cast", name, to=to) if double else name

    segments = cast("segments", kind)
    length = w.add("MatMul", segments, number([[-1.0], [1.0]]))
    wide = w.add("Min", w.add("Mul", length, number(pool.context)), number(pool.max_context.item()))
    # Edges are summed in the kernel's order, so the bins of a segment without length have exactly no width.
    side = bins // 6
    from_start = np.repeat([1.0, 0.0], [5 * side + 1, side])
    recipe = np.stack([from_start, 1.0 - from_start, pool.length_part.numpy(), pool.wide_part.numpy()])
    edges = w.add("MatMul", w.add("Concat", segments, length, wide, axis=1), number(recipe))  # [M, bins + 1]
    step = np.eye(bins + 1, bins, -1) - np.eye(bins + 1, bins)
    span = w.add("MatMul", edges, number(step))
    # 1 / width, and 0 for a bin without width.
    share = w.add("Div", span, w.add("Max", w.add("Mul", span, span), number(1e-24)))
    last = w.add("Sub", cast_rows(w, x, kind), number(0.5))
    column = w.add("Reshape", edges, w.constant([0, bins + 1, 1], np.int64))
    position = w.add("Min", w.add("Max", column, number(-0.5)), last)
    cell = w.add("Max", w.add("Floor", position), number(0.0))
    part = w.add("Sub", position, cell)  # negative before the first center, where the interpolant is constant
    inside = w.add("Max", part, number(0.0))
    square = w.add("Mul", inside, inside)
    # With S the running sums of rows 0, 0, 1, ..., T - 1, T - 1 (the interpolant is constant beyond the ends), the
    # integral up to an edge in cell c is this combination of S[c], S[c + 1], S[c + 2], plus a constant that cancels.
    taps = w.add(
        "Add",
        w.add("Mul", square, number([0.5, -1.0, 0.5])),
        w.add("Add", w.add("Mul", part, number([-1.0, 1.0, 0.0])), number([0.5, 0.5, 0.0])),
    )
    sums = w.add(
        "CumSum", w.add("Pad", cast(x, kind), w.constant([1, 0, 1, 0], np.int64), mode="edge"), w.constant(0, np.int64)
    )
    rows = w.add("Add", w.add("Cast", cell, to=INT64), w.constant(np.arange(TAPS), np.int64))
    gathered = w.add("Gather", sums, w.add("Reshape", rows, w.constant([0, (bins + 1) * TAPS], np.int64)), axis=0)
    # Edge b + 1 minus edge b, divided by the width of bin b.
    signs = number(np.repeat(step.T, TAPS, axis=1))
    mix = w.add("Mul", signs, w.add("Reshape", taps, w.constant([0, 1, (bins + 1) * TAPS], np.int64)))
    mix = w.add("Mul", mix, w.add("Reshape", share, w.constant([0, bins, 1], np.int64)))
    return cast(w.add("MatMul", mix, gathered), FLOAT), cast(length, FLOAT)


def cast_rows(w: GraphWriter, x: str, kind: int) -> str:
    """The number of rows of x as a tensor [1], so that lengths stay symbolic."""
    return w.add("Cast", w.add("Shape", x, start=0, end=1), to=kind)

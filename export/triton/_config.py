"""config.pbtxt of a model: protobuf text with explanatory comments."""

from __future__ import annotations

from collections.abc import Mapping

from ._models import Model, Tensor, WarmUp

LABELS = "labels.txt"
VERSION = 1  # of every model in the repository
FORMAT = 1  # of the repository's files
QUEUE_US = 2000  # microseconds that a request waits for others to share its run

_WHY_ALONE = {
    "locator": "The graph takes one window, so requests cannot share a run.",
    "center": "No batch axis: a request is one window with its proposals, and both sizes differ between requests.",
    "backbone": "The graph takes a fixed number of clips, so requests cannot share a run.",
}
_WHY_TOGETHER = {
    "locator": "Windows of one length share a run; live streams in steady state send windows of one length.",
    "backbone": "All clips have one size, so clips of any streams share a run.",
}
_CPU = {
    "intra_op_thread_count": "1",
    "inter_op_thread_count": "1",
    "execution_mode": "0",
    "enable_mem_arena": "1",
    "enable_mem_pattern": "0",
}
# Given as numeric parameters: once any parameter is given, Triton's ONNX Runtime backend reads these three from the
# parameters or uses its defaults, and ignores the accelerator's. HEURISTIC, kSameAsRequested, one stream.
_CUDA = {"cudnn_conv_algo_search": "1", "arena_extend_strategy": "1", "do_copy_in_default_stream": "1"}


def config_text(
    model: Model, *, bundle: str, precision: str, device: str, instances: int, queue_us: int = QUEUE_US
) -> str:
    """The configuration of one model.

    Args:
        model: the model.
        bundle: id of the bundle.
        precision: variant of the graph.
        device: "cpu" or "cuda".
        instances: per model.
        queue_us: microseconds that a request waits for others.
    """
    batching = _WHY_TOGETHER[model.part] if model.max_batch else _WHY_ALONE[model.part]
    lines = [
        f"# {model.part} of {_line(bundle)}, {precision}. Written by punctum; dims and types are those of the graph.",
        f"name: {quote(model.name)}",
        'backend: "onnxruntime"',
        'default_model_filename: "model.onnx"',
        "# The parameters below name the bundle, so another bundle version needs its own repository.",
        f"version_policy {{ specific {{ versions: [ {VERSION} ] }} }}",
        f"# {batching}",
        f"max_batch_size: {model.max_batch}",
    ]
    if model.max_batch:
        lines += ["dynamic_batching {", f"  max_queue_delay_microseconds: {queue_us}", "}"]
    lines += [
        "# No sequence_batching: the graph keeps no state between requests. The state of a stream is in the client's",
        "# session, so any instance serves any request, and no idle timeout affects a stream.",
    ]
    for kind, tensors in (("input", model.inputs), ("output", model.outputs)):
        lines += [f"{kind} [", ",\n".join(_tensor(t) for t in tensors), "]"]
    lines += ["instance_group [", f"  {{ count: {instances} kind: {'KIND_CPU' if device == 'cpu' else 'KIND_GPU'} }}"]
    lines += ["]"]
    if device == "cuda":
        lines += [
            "# TF32 is off: it rounds float32 factors to ten bits, and the bundle was measured without it.",
            "optimization { execution_accelerators {",
            '  gpu_execution_accelerator: [ { name: "cuda" parameters { key: "use_tf32" value: "0" } } ]',
            "} }",
        ]
    facts = {"punctum.format": str(FORMAT), "punctum.bundle": bundle, "punctum.precision": precision}
    for key, value in {**_CPU, **(_CUDA if device == "cuda" else {}), **facts}.items():
        lines.append(f"parameters {{ key: {quote(key)} value: {{ string_value: {quote(value)} }} }}")
    lines.append("# Warm-up before the model is ready, so that first requests do not wait for memory or kernels.")
    types = {t.name: t.type for t in model.inputs}
    for warm_up in model.warm_ups:
        lines += _warm_up(warm_up, types)
    return "\n".join(lines) + "\n"


def quote(text: str) -> str:
    """A string in protobuf text format."""
    escaped = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}
    return '"' + "".join(escaped.get(c, c) for c in text) + '"'


def _line(text: str) -> str:
    return " ".join(text.split())


def _tensor(tensor: Tensor) -> str:
    label = f" label_filename: {quote(LABELS)}" if tensor.columns_are_labels else ""
    return f"  {{ name: {quote(tensor.name)} data_type: {tensor.type} dims: {_dims(tensor.dims)}{label} }}"


def _dims(dims: tuple[int, ...]) -> str:
    return f"[ {', '.join(map(str, dims))} ]"


def _warm_up(warm_up: WarmUp, types: Mapping[str, str]) -> list[str]:
    lines = [f"model_warmup {{ name: {quote(warm_up.name)} batch_size: {max(warm_up.batch, 1)} count: 1"]
    for name, dims in warm_up.dims.items():
        data = f"data_type: {types[name]} dims: {_dims(dims)} zero_data: true"
        lines.append(f"  inputs {{ key: {quote(name)} value: {{ {data} }} }}")
    return [*lines, "}"]

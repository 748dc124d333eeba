"""config.pbtxt: protobuf in text form, with the reasons as comments."""

from __future__ import annotations

from collections.abc import Mapping

from ._models import Model, Tensor, WarmUp

LABELS = "labels.txt"
VERSION = 1  # of every model
FORMAT = 1  # of what this package puts into a repository
QUEUE_US = 2000  # how long a request waits for others; next to nothing beside a deadline of a second

_WHY_ALONE = {
    "locator": "The graph takes one window, so requests cannot share a run.",
    "center": "No axis for a batch: a request is one window and its proposals, and both counts differ from run to run.",
    "backbone": "The graph takes a fixed number of clips, so requests cannot share a run.",
}
_WHY_TOGETHER = {
    "locator": "Windows of one length share a run; those of live streams in their stride have one.",
    "backbone": "Clips are all of one size, so those of any stream share a run.",
}
_CPU = {
    "intra_op_thread_count": "1",
    "inter_op_thread_count": "1",
    "execution_mode": "0",
    "enable_mem_arena": "1",
    "enable_mem_pattern": "0",
}
# As parameters, by number: beside any parameter the backend takes these three from there, or else its own defaults,
# whatever the accelerator says. HEURISTIC, kSameAsRequested, one stream.
_CUDA = {"cudnn_conv_algo_search": "1", "arena_extend_strategy": "1", "do_copy_in_default_stream": "1"}


def config_text(
    model: Model, *, bundle: str, precision: str, device: str, instances: int, queue_us: int = QUEUE_US
) -> str:
    """The configuration of one model. device: "cpu" or "cuda"; queue_us: microseconds."""
    batching = _WHY_TOGETHER[model.part] if model.most else _WHY_ALONE[model.part]
    lines = [
        f"# {model.part} of {_line(bundle)}, {precision}. Written by punctum; dims and types are those of the graph.",
        f"name: {quote(model.name)}",
        'backend: "onnxruntime"',
        'default_model_filename: "model.onnx"',
        "# One bundle a configuration: the parameters below name it, so another version needs a repository of its own.",
        f"version_policy {{ specific {{ versions: [ {VERSION} ] }} }}",
        f"# {batching}",
        f"max_batch_size: {model.most}",
    ]
    if model.most:
        lines += ["dynamic_batching {", f"  max_queue_delay_microseconds: {queue_us}", "}"]
    lines += [
        "# No sequence_batching: the graph keeps nothing between requests. What a stream remembers is in the session",
        "# of whoever calls, so any instance serves any request, and no idle timeout can lose a stream.",
    ]
    for kind, tensors in (("input", model.inputs), ("output", model.outputs)):
        lines += [f"{kind} [", ",\n".join(_tensor(t) for t in tensors), "]"]
    lines += ["instance_group [", f"  {{ count: {instances} kind: {'KIND_CPU' if device == 'cpu' else 'KIND_GPU'} }}"]
    lines += ["]"]
    if device == "cuda":
        lines += [
            "# TF32 is off: products of float32 that round to ten bits are not what the bundle was judged with.",
            "optimization { execution_accelerators {",
            '  gpu_execution_accelerator: [ { name: "cuda" parameters { key: "use_tf32" value: "0" } } ]',
            "} }",
        ]
    told = {"punctum.format": str(FORMAT), "punctum.bundle": bundle, "punctum.precision": precision}
    for key, value in {**_CPU, **(_CUDA if device == "cuda" else {}), **told}.items():
        lines.append(f"parameters {{ key: {quote(key)} value: {{ string_value: {quote(value)} }} }}")
    lines.append("# Run before the model is ready, so that no first request waits for memory or kernels.")
    types = {t.name: t.type for t in model.inputs}
    for warm_up in model.warm_ups:
        lines += _warm_up(warm_up, types)
    return "\n".join(lines) + "\n"


def quote(text: str) -> str:
    """A string in protobuf's text form."""
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

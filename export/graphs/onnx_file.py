"""An ONNX file from elsewhere, as one graph that holds all its data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from punctum.runtime.backends.failures import failure_text
from punctum.runtime.bundle.graph_scan import check_graph
from punctum.runtime.errors import InputError
from punctum.runtime.text.display import shown

if TYPE_CHECKING:
    from onnx import ModelProto


def read_onnx(path: str | Path) -> bytes:
    """The graph of a file, with the weights that exporters keep beside it (`model.onnx.data`) taken in.

    Weights are only taken from the folder of the file and below. Session options in its metadata, which ONNX Runtime
    can be made to follow, are left out. Raises InputError for what is not ONNX, for weights that are not there, and for
    a graph that would exceed the 2 GiB of one ONNX file.
    """
    import onnx
    from google.protobuf.message import DecodeError, EncodeError

    path = Path(path)
    try:
        model = onnx.load_from_string(path.read_bytes())  # `onnx.load` guesses other formats from the name
    except (DecodeError, OSError, ValueError) as error:
        raise _unreadable(path, failure_text(error)) from None
    if not model.HasField("graph"):
        raise _unreadable(path, "it holds no graph")
    try:
        onnx.load_external_data_for_model(model, str(path.parent))
    except (OSError, ValueError, RuntimeError, TypeError, onnx.checker.ValidationError) as error:
        raise InputError(
            "backbone-weights",
            f"the weights that {shown(path)} keeps in another file cannot be read: {failure_text(error)}",
            "the file with the weights beside the .onnx file, under the name that it had at export",
            "copy both, or export with external_data=False",
        ) from None
    kept = [entry for entry in model.metadata_props if entry.key != "ort_config"]
    if len(kept) != len(model.metadata_props):
        del model.metadata_props[:]
        model.metadata_props.extend(kept)
    try:
        graph: bytes = model.SerializeToString(deterministic=True)
    except (EncodeError, ValueError) as error:
        raise InputError(
            "backbone-too-large",
            f"{shown(path)} with its weights cannot be one ONNX file ({failure_text(error)})",
            "at most 2 GiB",
            "export it in half precision, or use a smaller network",
        ) from None
    check_graph(graph, shown(path))
    return graph


def network_input(model: ModelProto) -> tuple[str, list[int | None]] | None:
    """Name and shape of the only input that is no initializer, None for free sizes; None where there are several."""
    stored = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in stored]
    if len(inputs) != 1:
        return None
    tensor = inputs[0].type.tensor_type
    if not tensor.HasField("shape"):
        return None
    return inputs[0].name, [d.dim_value if d.HasField("dim_value") else None for d in tensor.shape.dim]


def _unreadable(path: Path, why: str) -> InputError:
    return InputError(
        "graph-unreadable",
        f"{shown(path)} is not an ONNX file ({why})",
        "a whole .onnx file",
        "export or copy it again",
    )

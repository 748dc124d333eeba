"""ONNX files of other tools, as one graph with all its data."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from punctum.runtime.backends.failures import failure_text
from punctum.runtime.bundle.graph_scan import check_graph
from punctum.runtime.bundle.limits import FILE_BYTES
from punctum.runtime.errors import InputError
from punctum.runtime.files.regular import read_regular
from punctum.runtime.text.display import shown

if TYPE_CHECKING:
    from onnx import ModelProto


def has_onnx() -> bool:
    """Whether the package onnx is installed. Without it, a graph that is one file can be read and not changed."""
    return find_spec("onnx") is not None


def read_file(path: str | Path) -> bytes:
    """The bytes of a file that should be ONNX. Raises InputError if it does not exist or cannot be read."""
    path = Path(path)
    try:
        data = read_regular(path, FILE_BYTES + 1)
        if len(data) <= FILE_BYTES:
            return data
        why = f"has more than {FILE_BYTES:,} bytes"
    except FileNotFoundError:
        why = "does not exist"
    except IsADirectoryError:
        why = "is a folder"
    except (OSError, ValueError) as error:
        why = f"cannot be read ({failure_text(error)})"
    raise InputError(
        "graph-unreadable", f"The file {shown(path)} {why}", required="an .onnx file", next_step="check the path"
    )


def read_onnx(path: str | Path) -> bytes:
    """Read a graph, including weights that an exporter stored in a file beside it (`model.onnx.data`).

    Weights are read from the folder of the file and below only. Session options in the metadata, which ONNX Runtime can
    be configured to apply, are removed.

    Raises:
        InputError: the file is not ONNX, weights are missing, or the graph exceeds the 2 GiB of one ONNX file.
    """
    import onnx
    from google.protobuf.message import DecodeError, EncodeError

    path, data = Path(path), read_file(path)
    try:
        model = onnx.load_from_string(data)  # `onnx.load` guesses other formats from the name
    except (DecodeError, ValueError) as error:
        raise _unreadable(path, failure_text(error)) from None
    if not model.HasField("graph"):
        raise _unreadable(path, "it contains no graph")
    try:
        onnx.load_external_data_for_model(model, str(path.parent))
    except (OSError, ValueError, RuntimeError, TypeError, onnx.checker.ValidationError) as error:
        raise InputError(
            "backbone-weights",
            f"The weights that {shown(path)} stores in another file cannot be read: {failure_text(error)}",
            "the file with the weights, beside the .onnx file and with the name that it had at export",
            "copy both, or export with external_data=False",
        ) from None
    metadata = [entry for entry in model.metadata_props if entry.key != "ort_config"]
    if len(metadata) != len(model.metadata_props):
        del model.metadata_props[:]
        model.metadata_props.extend(metadata)
    try:
        graph: bytes = model.SerializeToString(deterministic=True)
    except (EncodeError, ValueError) as error:
        raise InputError(
            "backbone-too-large",
            f"{shown(path)} and its weights do not fit one ONNX file ({failure_text(error)})",
            "at most 2 GiB",
            "export it in half precision, or use a smaller network",
        ) from None
    check_graph(graph, shown(path))
    return graph


def network_input(model: ModelProto) -> tuple[str, list[int | None]] | None:
    """Name and shape (None: a free size) of the only input that is not an initializer; None if there are several."""
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
        "a complete .onnx file",
        "export or copy it again",
    )

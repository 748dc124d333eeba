"""From `--part` to a part: a known network, an ONNX file with its spec, or a backbone folder."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any, cast

from punctum.runtime.backbone.folder import parse_spec, read_backbone, read_shipped, read_spec_file
from punctum.runtime.bundle.backbone_spec import BackboneSpec
from punctum.runtime.errors import InputError
from punctum.runtime.text.display import shown
from punctum.training.candidates import TRAINED_HERE, WEIGHTS

from ..graphs.onnx_file import read_file, read_onnx
from .efficientnet import lite0_graph, published_weights, random_weights
from .known import NAMES, Known, find_known
from .network import IMAGES, Layout, read_network
from .options import Frames, PartOptions
from .part import Part
from .pose import pose_graph
from .tfjs import read_graph_model
from .weights import find_weights, read_files

_LAYOUTS = ("NTCHW", "NCTHW", *IMAGES)


def read_part(options: PartOptions) -> Part:
    """Read a part. Nothing is downloaded.

    Raises:
        InputError: The source does not exist or does not fit, or an option does not apply to it.
    """
    known, path = find_known(options.source), Path(options.source)
    if known is not None:
        return _known(known, options)
    _refuse(options, "weights=random", options.random, "known networks with weights of their own")
    if path.is_dir():
        _refuse(options, "spec", options.spec, "an ONNX file; a backbone folder contains its spec")
        spec, graph = read_backbone(path)
        record = spec.model_dump(mode="json", exclude={"file", "fingerprint", "parts"})
        default = options.name or _plain_name(path.resolve().name)
        inner = spec.parts
        license_ = " AND ".join(dict.fromkeys(part.license for part in inner if part.license))
        publisher = "; ".join(dict.fromkeys(part.publisher for part in inner if part.publisher))
        if not publisher and (path / WEIGHTS).is_file():
            publisher = TRAINED_HERE
        source = (hashlib.sha256(graph).hexdigest(), license_, publisher)
        return _part(graph, record, path / "backbone.json", options, default, source)
    if not path.is_file():
        raise InputError(
            "part-missing",
            f"{shown(options.source)} is not a known network, an ONNX file or a backbone folder",
            f"{', '.join(NAMES)}, or a path",
            "check the name or the path; `punctum backbones` lists the known networks",
        )
    place = Path(options.spec) if options.spec is not None else path.with_suffix(".json")
    if not place.is_file():
        raise InputError(
            "backbone-spec",
            f"{shown(path)} has no spec",
            required=f"{shown(place)}, a JSON file with fps, clip_frames, snippet_frames, height, width, ...",
            next_step="write it beside the ONNX file, or name it with spec=FILE",
        )
    source = (hashlib.sha256(read_file(path)).hexdigest(), "", "")
    return _part(read_onnx(path), read_spec_file(place), place, options, _plain_name(path.stem), source)


def _known(known: Known, options: PartOptions) -> Part:
    _refuse(options, "spec", options.spec, "ONNX files")
    for key, value in (("license", options.license), ("publisher", options.publisher)):
        _refuse(options, key, value, "networks that punctum does not know")
    if known.how == "shipped":
        _refuse(options, "weights=random", options.random, "known networks with weights of their own")
        return _shipped(known, options)
    if options.random and known.how in ("onnx", "movenet"):
        raise _idle(options, "weights=random", "networks that are made by a library")
    files = [] if options.random else read_files(known)
    weights = files[0] if files else None
    sha256 = hashlib.sha256(weights or known.name.encode()).hexdigest()
    spec_record: dict[str, Any] = dict(known.spec)
    place = Path(known.name)
    if known.how == "onnx":
        file = find_weights(known)
        if file is None:
            raise RuntimeError("read_weights found the file")
        graph = read_onnx(file)
    elif known.how == "lite0":
        graph = lite0_graph(random_weights() if weights is None else published_weights(weights))
    elif known.how == "movenet":
        graph = pose_graph(read_graph_model(files[1], files[0], known.name))
    else:
        from .torch_known import library_graph

        graph = library_graph(known, weights, _spec(spec_record, place)[0])
    source = (sha256, known.license, "random weights" if options.random else known.publisher)
    return _part(graph, spec_record, place, options, known.name, source, known=True)


def _shipped(known: Known, options: PartOptions) -> Part:
    spec, graph = read_shipped()
    record = spec.model_dump(mode="json", exclude={"file", "fingerprint", "parts"})
    source = (hashlib.sha256(graph).hexdigest(), known.license, known.publisher)
    return _part(graph, record, Path(known.name), options, known.name, source)


def _part(
    graph: bytes,
    record: Any,
    place: Path,
    options: PartOptions,
    name: str,
    source: tuple[str, str, str],
    *,
    known: bool = False,
) -> Part:
    """A part from a graph and the content of its spec file. source: SHA-256, license, publisher."""
    spec, layout, output, frames, flatten = _spec(record, place)
    name = options.name or name
    network = read_network(graph, spec, layout, output, name, flatten=flatten)
    if not network.takes_images and (options.frames is not None or frames is not None):
        where = "`part` frames" if options.frames else f"image in {shown(place)}"
        raise InputError(
            "part-option",
            f"{where} does not apply to {name}, a network of clips",
            "networks of single images",
            "leave it out",
        )
    if network.takes_images:
        frames = options.frames or frames or "middle"
    part = Part(
        name=name,
        network=network,
        spec=spec,
        frames=frames,
        give=options.give,
        lag=options.lag,
        rate_free=known and network.takes_images,
        wanted=options.components,
        source_sha256=source[0],
        license=options.license or source[1],
        publisher=options.publisher or source[2],
    )
    _check_components(part)
    return part


def _check_components(part: Part) -> None:
    if part.wanted is not None and part.wanted > part.dim:
        raise InputError(
            "part-components",
            f"Part {part.name} has {part.dim} columns, and {part.wanted} components are wanted",
            "at most as many components as columns",
            "lower components",
        )


def _spec(record: Any, place: Path) -> tuple[BackboneSpec, Layout | None, str | None, Frames | None, bool]:
    """Spec, layout (None: by the axes of the input), tensor with the features, frames, flatten, from a spec file."""
    if not isinstance(record, dict):
        return parse_spec(record, place), None, None, None, False  # raises
    layout, output, frames = record.get("layout"), record.get("output"), record.get("image")
    flatten = record.get("flatten", False)
    if layout is not None and layout not in _LAYOUTS:
        raise _field(place, "layout", layout, ", ".join(_LAYOUTS))
    if frames not in (None, "middle", "last", "mean"):
        raise _field(place, "image", frames, "middle, last, mean")
    if output is not None and not isinstance(output, str):
        raise _field(place, "output", output, "the name of a tensor")
    if not isinstance(flatten, bool):
        raise _field(place, "flatten", flatten, "true or false")
    rest = {key: value for key, value in record.items() if key not in ("image", "parts", "flatten")}
    if layout in IMAGES:
        rest["layout"] = "NTCHW"
    spec = parse_spec(rest, place)
    # A clip network in `layout` NCTHW is the default of the spec, so only image layouts decide here.
    return spec, cast("Layout", layout) if layout in IMAGES else None, output, frames, flatten


def _field(place: Path, key: str, value: object, allowed: str) -> InputError:
    return InputError("backbone-spec", f"{shown(place)}: {key} is {shown(value, 80)}", allowed, "correct it")


def _plain_name(text: str) -> str:
    """A file or folder name as the name of a part."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._")[:64] or "part"


def _refuse(options: PartOptions, key: str, value: object, of: str) -> None:
    if value:
        raise _idle(options, key, of)


def _idle(options: PartOptions, key: str, of: str) -> InputError:
    return InputError(
        "part-option", f"`part` {shown(options.source, 80)}: {key} does not apply to it", of, f"leave {key} out"
    )

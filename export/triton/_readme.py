"""The page inside a repository: what it holds, how to serve it, and who does the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._models import Model, Tensor

if TYPE_CHECKING:
    from punctum.runtime import Bundle

_PAGE = """# {bundle} for Triton

The graphs of one bundle in {precision}, for instances on {device}. They keep no state: windows, proposals, fusion,
boundary adaptation, suppression and events are on the side of whoever sends the media, in a session of punctum.

{models}

## Serve

    tritonserver --model-repository=THIS_FOLDER

The server needs its ONNX Runtime backend, which not every build brings. It takes several repositories, each with its
own `--model-repository`. The bundle's id is a parameter of every model (`punctum.bundle`), so a client can refuse
another one: clients and server have to have the same bundle.

- **Batching.** {batching}
- **Streams.** No sequence batching, no state on the server, nothing to time out: any instance serves any request, and
  a restarted server has lost nothing. A request that fails is an error in `push`: go on from the last
  `session.snapshot()`, which also outlives the client.
- **Warm-up.** Every model runs the sizes that live streams bring before it is ready.
- **Telemetry.** Builds of ONNX Runtime may report their use to their maker. Start the server with
  `ORT_DISABLE_TELEMETRY=1` in its environment; punctum on the side of the clients switches it off by itself.
- **Origin.** {digest} The models here were written from it; a client that is given the same
  digest (`--expect-sha256`) refuses any other bundle.
- **Threads.** One a run, since streams are many; raise the instances instead (`instance_group`), up to one a core.{gpu}

## From Python

`client.py` beside this page needs punctum, `tritonclient[grpc]`, and the bundle's folder, but no engine:

    python client.py BUNDLE features.npy --url localhost:8001

```python
from client import open_localizer
from punctum.runtime import Bundle
from punctum.runtime.live import LiveOptions

localizer = open_localizer(Bundle.load("BUNDLE"), "localhost:8001"{name})
session = localizer.session(stream="cam-1", live=LiveOptions(max_delay_s=1.0))
for event in session.push(features):  # float32 [n, {dim}], a row each {stride:g} s
    print(event.to_json())
```
{video}
## From C

libpunctum (`punctum.h`) asks for what it needs; the answers come from these models. An answer to a locate is the class
track and actionness side by side:

| `punctum_next_want` | model | in | out |
|---|---|---|---|
{wants}

## What has been run

Repositories like this one have been loaded, warmed and called in a Triton server (2.51) on the CPU, and its answers
gave the events that punctum gives with the bundle alone. Triton's own ONNX Runtime backend was not there: one in
Python stood in for it. No instance on a GPU has run.
"""
_VIDEO = """
For video, open the source with the backbone in the server (decoding and resizing stay here):

```python
from client import open_backbone
from punctum.runtime.sources.video import open_video

source = open_video("rtsp://camera/stream", open_backbone(Bundle.load("BUNDLE"), "localhost:8001"{name}))
for event in localizer.stream(source):
    print(event.to_json())
```
"""
_GPU = """
- **GPU.** TF32 is off. Each model may fill the card's memory as it needs; `gpu_mem_limit` bounds it."""


def readme_text(bundle: Bundle, models: list[Model], *, precision: str, device: str) -> str:
    """README.md of a repository."""
    spec = bundle.manifest.features
    own = any(m.name != f"{bundle.manifest.name}_{m.part}" for m in models)
    name = f', name="{models[0].name.removesuffix("_" + models[0].part)}"' if own else ""
    parts = {model.part: model for model in models}
    return (
        _PAGE.format(
            bundle=bundle.id,
            digest=f"The bundle's SHA-256 is `{bundle.sha256}`.",
            precision=precision,
            device="the CPU" if device == "cpu" else "GPUs",
            models=_table(models),
            batching=_batching(models),
            gpu=_GPU if device == "cuda" else "",
            name=name,
            dim=spec.dim,
            stride=spec.stride_s,
            video=_VIDEO.format(name=name) if "backbone" in parts else "",
            wants="\n".join(_want(kind, parts[part]) for kind, part in _WANTS if part in parts),
        ).rstrip()
        + "\n"
    )


_WANTS = (("PUNCTUM_WANT_LOCATE", "locator"), ("PUNCTUM_WANT_SCORE", "center"))


def _table(models: list[Model]) -> str:
    rows = ["| model | in | out | requests a run |", "|---|---|---|---|"]
    for m in models:
        rows.append(f"| `{m.name}` | {_list(m, m.inputs)} | {_list(m, m.outputs)} | {m.most or 1} |")
    return "\n".join(rows)


def _list(model: Model, tensors: tuple[Tensor, ...]) -> str:
    return ", ".join(f"{t.name} {_shape(model, t)} {t.type.removeprefix('TYPE_')}" for t in tensors)


def _shape(model: Model, tensor: Tensor) -> str:
    by_snippet = model.part != "center" or tensor.name in ("features", "tracks")
    dims = [("T" if by_snippet else "M") if n < 0 else str(n) for n in tensor.dims]
    return f"[{', '.join(['B', *dims] if model.most else dims)}]"


def _batching(models: list[Model]) -> str:
    joined = [f"`{m.name}`" for m in models if m.most]
    alone = [f"`{m.name}`" for m in models if not m.most]
    told = []
    if joined:
        told.append(f"{' and '.join(joined)}: requests of one size that arrive together share a run.")
    if alone:
        told.append(
            f"{' and '.join(alone)}: no axis for a batch in the graph (`max_batch_size: 0`), so requests never share a "
            "run. A session or pool of punctum joins the windows of several islands and streams before it asks."
        )
    return " ".join(told)


def _want(kind: str, model: Model) -> str:
    return f"| `{kind}` | `{model.name}` | {_list(model, model.inputs)} | {_list(model, model.outputs)} |"

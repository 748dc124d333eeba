"""README.md of a repository: its content, how to serve it, and how to use it from clients."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._models import Model, Tensor

if TYPE_CHECKING:
    from punctum.runtime import Bundle

_PAGE = """# {bundle} for Triton

The graphs of one bundle in {precision}, for instances on {device}. They keep no state: windows, proposals, fusion,
boundary adaptation, suppression and events are handled by a punctum session in the process that sends the media.

{models}

## Serve

    tritonserver --model-repository=THIS_FOLDER

The server needs Triton's ONNX Runtime backend, which not every build contains. It serves several repositories, each
with its own `--model-repository`. Clients and server must use the same bundle: its id is a parameter of every model
(`punctum.bundle`), and clients refuse another one.

- **Batching.** {batching}
- **Streams.** The server keeps no state and needs no sequence batching: any instance serves any request, and a restart
  loses nothing. A request that fails raises an error in `push`; continue from the last `session.snapshot()`, which also
  survives a restart of the client.
- **Warm-up.** Before a model is ready, it runs inputs of the sizes that live streams send.
- **Telemetry.** Some builds of ONNX Runtime send usage data. Start the server with `ORT_DISABLE_TELEMETRY=1` in its
  environment; punctum switches telemetry off in its own process.
- **Origin.** {digest} The models were written from it. With this digest
  (`--expect-sha256`) a client refuses any other bundle.
- **Threads.** One per run, since there are many streams. Raise the number of instances instead (`instance_group`), up
  to one per core.{gpu}

## From Python

`client.py` in this folder needs punctum, `tritonclient[grpc]` and the bundle's folder, but no inference engine:

    python client.py BUNDLE features.npy --url localhost:8001

```python
from client import open_localizer
from punctum.runtime import Bundle
from punctum.runtime.live import LiveOptions

localizer = open_localizer(Bundle.load("BUNDLE"), "localhost:8001"{name})
session = localizer.session(stream="cam-1", live=LiveOptions(max_delay_s=1.0))
for event in session.push(features):  # float32 [n, {dim}], one row per {stride:g} s
    print(event.to_json())
```
{video}
## From C

libpunctum (`punctum.h`) requests runs of the graphs, and these models compute them. The answer to a locate request is
class track and actionness side by side:

| `punctum_next_want` | model | in | out |
|---|---|---|---|
{wants}

## What has been tested

Repositories like this one have been loaded, warmed up and called in a Triton server (2.51) on the CPU, and the events
were those of punctum with the bundle alone. Triton's own ONNX Runtime backend was not available; a backend in Python
took its place. No instance has been run on a GPU.
"""
_VIDEO = """
For video, open the source with the backbone in the server (decoding and resizing run in the client):

```python
from client import open_backbone
from punctum.runtime.sources.video import open_video

source = open_video("rtsp://camera/stream", open_backbone(Bundle.load("BUNDLE"), "localhost:8001"{name}))
for event in localizer.stream(source):
    print(event.to_json())
```
"""
_GPU = """
- **GPU.** TF32 is off. A model may use all memory of the card; `gpu_mem_limit` sets a bound."""


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
        rows.append(f"| `{m.name}` | {_list(m, m.inputs)} | {_list(m, m.outputs)} | {m.max_batch or 1} |")
    return "\n".join(rows)


def _list(model: Model, tensors: tuple[Tensor, ...]) -> str:
    return ", ".join(f"{t.name} {_shape(model, t)} {t.type.removeprefix('TYPE_')}" for t in tensors)


def _shape(model: Model, tensor: Tensor) -> str:
    by_snippet = model.part != "center" or tensor.name in ("features", "tracks")
    dims = [("T" if by_snippet else "M") if n < 0 else str(n) for n in tensor.dims]
    return f"[{', '.join(['B', *dims] if model.max_batch else dims)}]"


def _batching(models: list[Model]) -> str:
    joined = [f"`{m.name}`" for m in models if m.max_batch]
    alone = [f"`{m.name}`" for m in models if not m.max_batch]
    lines = []
    if joined:
        lines.append(f"{' and '.join(joined)}: requests of one size that arrive together share a run.")
    if alone:
        lines.append(
            f"{' and '.join(alone)}: no batch axis in the graph (`max_batch_size: 0`), so requests never share a run. "
            "A punctum session or pool joins the windows of several islands and streams in one request."
        )
    return " ".join(lines)


def _want(kind: str, model: Model) -> str:
    return f"| `{kind}` | `{model.name}` | {_list(model, model.inputs)} | {_list(model, model.outputs)} |"

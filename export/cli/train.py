"""`punctum train` and `punctum train-backbone` with their exporter.

Training on features needs torch alone (extra `train`); the exporter imports its libraries when it is used.
"""

from __future__ import annotations

from punctum.training.cli.train import train_command
from punctum.training.cli.train_backbone import train_backbone_command

from ..exporter import OnnxExporter

train = train_command(OnnxExporter())
train_backbone = train_backbone_command(OnnxExporter())

"""Conversion of actions and clicks between the formats of punctum, evaluation code, players and annotation tools.

format             contains                  per file         times            confidence
events, parquet    actions                   many videos      exact            exact
activitynet        actions                   many videos      exact            exact
activitynet-truth  actions                   many videos      exact            lost
csv                actions, or clicks        many videos      exact            exact (clicks: lost)
webvtt             actions and clicks        one video        0.001 s          0.001
srt                actions                   one video        0.001 s          lost
elan               actions and clicks        one video        0.001 s          lost
elan-text          actions                   one video        0.001 s          lost
labelstudio        actions and clicks        many videos      a frame          exact
cvat               actions and clicks        one video        a frame          lost
boris              actions and clicks        many videos      exact            lost
via                actions and clicks        many videos      exact            lost
soccernet          clicks                    one game         0.001 s          exact (predictions)
thumos             actions                   one class        exact            lost
frames             actions                   one video        a frame          lost

Only events and Parquet keep the identity, delay and bundle of events. The result of a conversion lists what was left
out, lost or assumed. All times are seconds on the media clock; each module documents how its format counts time.
"""

from ._forms import FORMATS, Format
from ._input import read_data
from ._model import Mark, Timelines
from ._options import BACKGROUND, ReadOptions, WriteOptions, read_rates
from ._run import Conversion, convert

__all__ = [
    "BACKGROUND",
    "FORMATS",
    "Conversion",
    "Format",
    "Mark",
    "ReadOptions",
    "Timelines",
    "WriteOptions",
    "convert",
    "read_data",
    "read_rates",
]

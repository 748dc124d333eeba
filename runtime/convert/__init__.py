"""Actions and clicks between the forms of punctum, evaluators, players and annotation tools: `convert`.

form               holds                     videos a file   times            confidence
events, parquet    actions                   many            exact            exact
activitynet        actions                   many            exact            exact
activitynet-truth  actions                   many            exact            lost
csv                actions, or clicks        many            exact            exact (clicks: lost)
webvtt             actions and clicks        one             0.001 s          0.001
elan               actions and clicks        one             0.001 s          lost
labelstudio        actions and clicks        many            a frame          exact
cvat               actions and clicks        one             a frame          lost

Identity, delay and bundle of events stay in events and Parquet alone. Whatever a conversion leaves out, rounds or has
to assume is in its report. All times are seconds on the media clock; each module says how its form counts.
"""

from ._forms import FORMS, Form
from ._model import Mark, Timelines
from ._options import BACKGROUND, ReadOptions, WriteOptions, read_rates
from ._run import Report, convert

__all__ = [
    "BACKGROUND",
    "FORMS",
    "Form",
    "Mark",
    "ReadOptions",
    "Report",
    "Timelines",
    "WriteOptions",
    "convert",
    "read_rates",
]

"""Actions and clicks between the forms of punctum, evaluators, players and annotation tools: `convert`.

form               holds                     a file holds     times            confidence
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

Identity, delay and bundle of events stay in events and Parquet alone. Whatever a conversion leaves out, rounds or has
to assume is in its report. All times are seconds on the media clock; each module says how its form counts.
"""

from ._forms import FORMS, Form
from ._model import Mark, Timelines
from ._options import BACKGROUND, ReadOptions, WriteOptions, read_rates
from ._run import Report, convert, read_data

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
    "read_data",
    "read_rates",
]

"""Actions and clicks between the forms of punctum, evaluators, players and annotation tools: `convert`."""

from ._forms import FORMS, Form
from ._model import Mark, Timelines
from ._options import ReadOptions, WriteOptions, read_rates
from ._run import Report, convert

__all__ = ["FORMS", "Form", "Mark", "ReadOptions", "Report", "Timelines", "WriteOptions", "convert", "read_rates"]

"""What a container says about time."""

from __future__ import annotations

from dataclasses import dataclass

FALLBACK_RATE = 25.0  # frames a second where neither stamps nor header tell


@dataclass(frozen=True, slots=True)
class TimeBase:
    """Stamps of a container, in seconds on its own clock; None where it does not say.

    start_s: where the container starts, which is media time 0; None: media time 0 is the first frame. first_s: the
    earliest stamp of the video's data, decodable or not. end_s: where its video ends by the header. most_s: where all
    of it ends. early_s: how much before end_s it may end all the same, since the header is ambiguous. discontinuous: a
    container whose stamps may jump at any place, such as MPEG-TS. assumed_rate: frames a second that were assumed
    because nothing tells the rate. arrival: there are no stamps but the times of arrival.
    """

    start_s: float | None = None
    first_s: float | None = None
    end_s: float | None = None
    most_s: float | None = None
    early_s: float = 0.0
    discontinuous: bool = False
    assumed_rate: float | None = None
    arrival: bool = False

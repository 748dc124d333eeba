"""Time information of a container."""

from __future__ import annotations

from dataclasses import dataclass

FALLBACK_RATE = 25.0  # frames per second if neither time stamps nor header declare a rate


@dataclass(frozen=True, slots=True)
class TimeBase:
    """Time stamps of a container, in seconds on its own clock; None where the container does not declare them.

    Attributes:
        start_s: Start of the container, which is media time 0. None: media time 0 is the first frame.
        first_s: Earliest time stamp of the video data, decodable or not.
        end_s: End of the video according to the header.
        most_s: End of the longest stream according to the header.
        early_s: How long before `end_s` the video may really end, because the header is ambiguous.
        discontinuous: Whether time stamps may jump anywhere, as in MPEG-TS.
        assumed_rate: Frames per second that were assumed because the rate is declared nowhere.
        arrival: Whether times of arrival replace time stamps.
    """

    start_s: float | None = None
    first_s: float | None = None
    end_s: float | None = None
    most_s: float | None = None
    early_s: float = 0.0
    discontinuous: bool = False
    assumed_rate: float | None = None
    arrival: bool = False

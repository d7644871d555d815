"""Named moments at which a drill may kill the engine, as `kill -9` would, to see what the next start makes of it.

`HELIOS_KILL_AT=<point>` arms one of them, `HELIOS_KILL_AT=<point>:3` its third time. Unarmed, `reached` makes one
comparison and `at_records` gives back what it got.
"""

import os
import signal
import threading
import time
from dataclasses import dataclass
from typing import Literal, get_args

from helios_pipeline.core.errors import SettingsError
from helios_pipeline.core.trading import Decision, Intent, JournalRecord, OrderEvent, OrderState, VenueFill
from helios_pipeline.core.venues import RecordSink

VARIABLE = "HELIOS_KILL_AT"

Point = Literal[
    "decision_made",
    "intent_durable",
    "order_submitted",
    "order_accepted",
    "partially_filled",
    "cancel_pending",
    "filled_not_journalled",
    "filled_not_told",
]
"""A decision is durable, nothing is ordered · an intent is durable, nothing is sent · an order is sent, its answer is
unknown · the venue has it · a part of it is filled · a cancel is sent, its answer is unknown · the venue told a fill
that is not durable yet · a fill is durable, NautilusTrader has not heard of it."""

POINTS: tuple[Point, ...] = get_args(Point)

_BY_STATE: dict[OrderState, Point] = {
    "submitted": "order_submitted",
    "accepted": "order_accepted",
    "partially_filled": "partially_filled",
}


_ON_ITS_WAY_SECONDS = 0.03
"""A cancel is handed over, and sent by another task: so long after that it is on its way, and not in a block yet."""


@dataclass(slots=True)
class _Armed:
    """The point that kills, and how many times it is still passed."""

    point: Point
    left: int


def read_point(text: str) -> tuple[Point, int]:
    """Point and time of `<point>[:<n-th time>]`.

    Raises:
        SettingsError: no such point, or not a positive number of times.
    """
    name, _, times = text.partition(":")
    point = next((each for each in POINTS if each == name), None)
    count = int(times) if times.isascii() and times.isdigit() else 0 if times else 1
    if point is None or count < 1:
        raise SettingsError(
            f"{VARIABLE}: expected <point> or <point>:<n-th time> with a point of {', '.join(POINTS)}, found {text!r}. "
            "Correct it, or unset it: it is for drills."
        )
    return point, count


def reached(point: Point) -> None:
    """Say that a moment has come: when it is the armed one, this process is killed."""
    if _armed is None or _armed.point != point:
        return
    _armed.left -= 1
    if _armed.left == 0 and point == "cancel_pending":
        threading.Thread(target=_kill, args=(_ON_ITS_WAY_SECONDS,), daemon=True).start()
    elif _armed.left == 0:
        _kill(0.0)


def at_records(sink: RecordSink) -> RecordSink:
    """The same sink; when armed, one that passes the points that lie before and after its records."""
    return sink if _armed is None else _KillingSink(sink)


class _KillingSink:
    """Passes on records, and dies before or after one."""

    def __init__(self, sink: RecordSink) -> None:
        self._sink = sink

    def append(self, record: JournalRecord) -> int | None:
        if isinstance(record, VenueFill):
            reached("filled_not_journalled")
        sequence = self._sink.append(record)
        match record:
            case Decision():
                reached("decision_made")
            case Intent():
                reached("intent_durable")
            case VenueFill():
                reached("filled_not_told")
            case OrderEvent(state=state) if state in _BY_STATE:
                reached(_BY_STATE[state])
        return sequence


def _kill(seconds: float) -> None:
    time.sleep(seconds)
    os.kill(os.getpid(), signal.SIGKILL)


def _arm(text: str) -> _Armed | None:
    return _Armed(*read_point(text)) if text else None


_armed = _arm(os.environ.get(VARIABLE, ""))

"""When an engine that died is started again, and when it is not: pure."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from helios_pipeline.live_settings import WatchdogSection
from live_engine.watchdog import EngineView

START_FACTOR = 3.0
"""How many times longer an engine may be silent before its first word."""


def is_hung(view: EngineView, limits: WatchdogSection) -> bool:
    """Whether a process that lives has said nothing for so long that it has to be ended.

    One that has not said anything yet may be waiting for a venue: it is given longer.
    """
    longest = limits.start_seconds if view.status is not None else START_FACTOR * limits.start_seconds
    return view.alive and view.age_seconds > longest


def seconds_before_start(starts: Sequence[datetime], now: datetime, limits: WatchdogSection) -> float | None:
    """How long to wait before a dead engine is started again.

    Args:
        starts: when it was started before, the one that has just died included.
        now: UTC.
        limits: how often, and how soon.

    Returns:
        Seconds, doubling with each start of late; None if there were too many: it stays down, HALTED.
    """
    recent = [at for at in starts if now - at < timedelta(minutes=limits.within_minutes)]
    if len(recent) >= limits.max_starts:
        return None
    doubled = limits.first_backoff_seconds * 2.0 ** min(max(len(recent) - 1, 0), 32)
    return min(doubled, limits.longest_backoff_seconds)

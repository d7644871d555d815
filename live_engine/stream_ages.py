"""How old the newest of each stream is, and how far the venue's clock is from ours."""

from collections import deque
from collections.abc import Iterable, Mapping

from helios_pipeline.core.status import StreamStatus

SKEW_WINDOW_SECONDS = 30.0
"""Skew is judged by the fastest message of so long: delays only add to it."""


class StreamAges:
    """Arrivals of streams by a monotonic clock, in seconds."""

    def __init__(self, streams: Iterable[tuple[str, str]], limits: Mapping[str, float]) -> None:
        """Before anything has come.

        Args:
            streams: kind and instrument id of each that is expected.
            limits: by kind, age in seconds beyond which entries are refused; kinds without one have no limit.
        """
        self._arrived: dict[tuple[str, str], float | None] = dict.fromkeys(streams)
        self._limits = dict(limits)

    def heard(self, stream: str, instrument_id: str, at: float) -> None:
        """Note an arrival."""
        self._arrived[stream, instrument_id] = at

    def statuses(self, now: float) -> tuple[StreamStatus, ...]:
        """Every expected stream, in the order in which they were named."""
        return tuple(
            StreamStatus(
                stream=stream,
                instrument_id=instrument_id,
                age_seconds=None if arrived is None else max(0.0, now - arrived),
                limit_seconds=self._limits.get(stream),
            )
            for (stream, instrument_id), arrived in self._arrived.items()
        )


class ClockSkew:
    """How far our clock is ahead of a venue's, as far as messages show it."""

    def __init__(self) -> None:
        self._fastest: deque[tuple[float, float]] = deque()

    def note(self, sent_ms: float, received_ms: float, at: float) -> None:
        """Note a message: the venue's stamp, our clock, and the monotonic clock in seconds."""
        delay = received_ms - sent_ms
        while self._fastest and self._fastest[-1][1] >= delay:
            self._fastest.pop()
        self._fastest.append((at, delay))
        self._forget(at)

    def milliseconds(self, now: float) -> float | None:
        """Delay of the fastest message of the window: our clock ahead of the venue's; None if none came."""
        self._forget(now)
        return self._fastest[0][1] if self._fastest else None

    def _forget(self, now: float) -> None:
        while self._fastest and self._fastest[0][0] < now - SKEW_WINDOW_SECONDS:
            self._fastest.popleft()

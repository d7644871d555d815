"""Bars of one instrument as its trades and closed klines come in, in whatever order, twice or not at all.

A bar is made of raw klines. It closes with the first event by which all of them are known: a raw kline is known when
the venue's closed one has come, or when the trades prove it, that is, when no trade's number is missing from before its
start until after its end. Nothing is guessed: what neither proves is `missing`, to be asked for elsewhere, and the bar
waits. A closed kline wins over trades, also after the bar has closed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from helios_pipeline.core.market_data import Candle

REMEMBERED_BARS = 4
"""Newest bars that klines which come late may still complete or correct."""

MOST_HOLES = 1_000
"""Stretches of missing trades that are kept apart; beyond them the oldest trades prove nothing any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """A bar that closed.

    Attributes:
        kind: `closed`: the next one. `late`: one that newer bars did not wait for. `corrected`: the klines are
            otherwise than the trades that had made it.
        bar: as it is known now.
        before: of a corrected bar, as it was made of trades; else None.
    """

    kind: Literal["closed", "late", "corrected"]
    bar: Candle
    before: Candle | None


def join_candles(candles: Sequence[Candle], opened_ms: int) -> Candle:
    """The candle of a stretch out of those of its parts, oldest first, at least one."""
    return Candle(
        opened_ms=opened_ms,
        open=candles[0].open,
        high=max(each.high for each in candles),
        low=min(each.low for each in candles),
        close=candles[-1].close,
        volume=sum(each.volume for each in candles),
    )


class ClosingBars:
    """The bars of one instrument from a first one on."""

    def __init__(self, *, raw_ms: int, raw_per_bar: int, first_ms: int, patience_ms: int) -> None:
        """Begin with the bar that opens at `first_ms`.

        Args:
            raw_ms: length of a raw kline.
            raw_per_bar: raw klines in a bar.
            first_ms: opening of the first bar, a multiple of a bar's length.
            patience_ms: how long after its end an incomplete bar holds up newer ones.
        """
        self._raw, self._bar, self._patience = raw_ms, raw_ms * raw_per_bar, patience_ms
        self._first = self._next = first_ms
        self._klines: dict[int, Candle] = {}
        self._trades = _Trades(raw_ms)
        self._of_trades: dict[int, Candle] = {}
        self._passed_over: set[int] = set()
        self._seen_kline_ms = first_ms

    @property
    def next_ms(self) -> int:
        """Opening of the bar that closes next."""
        return self._next

    @property
    def seen_ms(self) -> int:
        """The venue's time as far as its trades and klines show it."""
        return max(self._seen_kline_ms, self._trades.last_ms)

    def take_trade(self, trade_id: int, at_ms: int, price: int, quantity: int) -> bool:
        """Learn a trade; whether the next bar may close by it."""
        return self._trades.take(trade_id, at_ms, price, quantity) and at_ms >= self._next + self._bar

    def take_kline(self, kline: Candle) -> bool:
        """Learn a closed raw kline; whether it may close or correct a bar. Those of forgotten bars are left out."""
        if kline.opened_ms < self._oldest:
            return False
        self._klines[kline.opened_ms] = kline
        self._seen_kline_ms = max(self._seen_kline_ms, kline.opened_ms + self._raw)
        return True

    def close(self, now_ms: int) -> list[Closing]:
        """Bars that became complete, oldest first; those that earlier ones were passed over for before them."""
        closings = self._belated()
        while True:
            bar = self._complete(self._next)
            if bar is not None:
                closings.append(Closing(kind="closed", bar=bar, before=None))
                if not self._is_told(self._next):
                    self._of_trades[self._next] = bar
            elif self._next + self._bar + self._patience <= now_ms:
                self._passed_over.add(self._next)
            else:
                return closings
            self._next += self._bar
            self._forget()

    def missing(self, now_ms: int) -> tuple[int, int] | None:
        """Openings of the first and the last raw kline that ended until now and should be asked for; None for none."""
        bars = sorted(self._passed_over | self._of_trades.keys()) + list(range(self._next, now_ms, self._bar))
        opened = [
            raw
            for bar in bars
            for raw in range(bar, min(bar + self._bar, now_ms - self._raw + 1), self._raw)
            if raw not in self._klines and (bar in self._of_trades or self._trades.proven(raw) is None)
        ]
        return (opened[0], opened[-1]) if opened else None

    @property
    def _oldest(self) -> int:
        return max(self._first, self._next - REMEMBERED_BARS * self._bar)

    def _complete(self, opened_ms: int) -> Candle | None:
        parts = []
        for raw in range(opened_ms, opened_ms + self._bar, self._raw):
            known = self._klines.get(raw) or self._trades.proven(raw)
            if known is None:
                return None
            parts.append(known)
        return join_candles(parts, opened_ms)

    def _is_told(self, opened_ms: int) -> bool:
        """Whether all of a bar's klines have come."""
        return all(raw in self._klines for raw in range(opened_ms, opened_ms + self._bar, self._raw))

    def _belated(self) -> list[Closing]:
        """Earlier bars that klines have completed or corrected by now."""
        closings = []
        for opened_ms in sorted(self._passed_over):
            bar = self._complete(opened_ms)
            if bar is not None:
                self._passed_over.remove(opened_ms)
                closings.append(Closing(kind="late", bar=bar, before=None))
        for opened_ms, before in sorted(self._of_trades.items()):
            if not self._is_told(opened_ms):
                continue
            del self._of_trades[opened_ms]
            bar = self._complete(opened_ms)
            if bar is not None and bar != before:
                closings.append(Closing(kind="corrected", bar=bar, before=before))
        return closings

    def _forget(self) -> None:
        oldest = self._oldest
        self._klines = {opened: kline for opened, kline in self._klines.items() if opened >= oldest}
        self._of_trades = {opened: bar for opened, bar in self._of_trades.items() if opened >= oldest}
        self._passed_over = {opened for opened in self._passed_over if opened >= oldest}
        self._trades.forget(oldest)


@dataclass(slots=True)
class _Hole:
    """Trades that have not come, by number, and the stretch of time in which they happened."""

    first_id: int
    last_id: int
    from_ms: int
    to_ms: int


@dataclass(slots=True)
class _Traded:
    """A raw kline as far as its trades have come."""

    first_id: int
    last_id: int
    open: int
    high: int
    low: int
    close: int
    volume: int

    def add(self, trade_id: int, price: int, quantity: int) -> None:
        if trade_id < self.first_id:
            self.first_id, self.open = trade_id, price
        if trade_id > self.last_id:
            self.last_id, self.close = trade_id, price
        self.high, self.low = max(self.high, price), min(self.low, price)
        self.volume += quantity


class _Trades:
    """Raw klines made of trades, and which of them are proven by consecutive numbers.

    Attributes:
        last_ms: when the trade with the highest number happened.
    """

    def __init__(self, raw_ms: int) -> None:
        self._raw = raw_ms
        self._traded: dict[int, _Traded] = {}
        self._holes: list[_Hole] = []
        self._next_id, self.last_ms, self._proven_from, self._oldest = -1, 0, 0, 0

    def take(self, trade_id: int, at_ms: int, price: int, quantity: int) -> bool:
        """Count a trade in; False for one that has come before, or is from before the first or what is forgotten."""
        if trade_id == self._next_id:
            self._next_id += 1
            self.last_ms = at_ms
        elif not self._is_new(trade_id, at_ms):
            return False
        if at_ms < self._oldest:
            return False
        opened = at_ms // self._raw * self._raw
        traded = self._traded.get(opened)
        if traded is None:
            self._traded[opened] = _Traded(trade_id, trade_id, price, price, price, price, quantity)
        else:
            traded.add(trade_id, price, quantity)
        return True

    def proven(self, opened_ms: int) -> Candle | None:
        """A raw kline of which no trade can be missing."""
        traded, end = self._traded.get(opened_ms), opened_ms + self._raw
        if traded is None or opened_ms < self._proven_from or self.last_ms < end:
            return None
        if any(hole.from_ms < end and hole.to_ms >= opened_ms for hole in self._holes):
            return None
        return Candle(
            opened_ms=opened_ms,
            open=traded.open,
            high=traded.high,
            low=traded.low,
            close=traded.close,
            volume=traded.volume,
        )

    def forget(self, oldest_ms: int) -> None:
        """Drop what happened before an instant."""
        self._oldest = oldest_ms
        self._traded = {opened: traded for opened, traded in self._traded.items() if opened >= oldest_ms}
        self._holes = [hole for hole in self._holes if hole.to_ms >= oldest_ms]

    def _is_new(self, trade_id: int, at_ms: int) -> bool:
        """Note a trade that is not the next one."""
        if self._next_id < 0:
            # What happened in the same raw kline before the first trade is unknown.
            self._proven_from = (at_ms // self._raw + 1) * self._raw
        elif trade_id > self._next_id:
            self._holes.append(_Hole(self._next_id, trade_id - 1, self.last_ms, at_ms))
            if len(self._holes) > MOST_HOLES:
                self._proven_from = max(self._proven_from, self._holes.pop(0).to_ms + 1)
        else:
            return self._fill(trade_id)
        self._next_id, self.last_ms = trade_id + 1, at_ms
        return True

    def _fill(self, trade_id: int) -> bool:
        """Take a trade out of the hole that it is missing in."""
        for k, hole in enumerate(self._holes):
            if hole.first_id <= trade_id <= hole.last_id:
                parts = (hole.first_id, trade_id - 1), (trade_id + 1, hole.last_id)
                self._holes[k : k + 1] = [
                    _Hole(first, last, hole.from_ms, hole.to_ms) for first, last in parts if first <= last
                ]
                return True
        return False

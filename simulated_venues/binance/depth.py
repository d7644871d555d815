"""Changes of an instrument's order book, step by step, as the venue's depth streams tell them.

A message states the quantity that a level has at its end, for every level that was different at any moment since the
message before. So it may be applied on a snapshot taken in between, which the venue's recipe for a local book asks for.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from simulated_venues.clock import instant
from simulated_venues.settings import SimulatedInstrument
from simulated_venues.source import BOOK_STEP_MS, UPDATES_PER_STEP, Book, Levels, MarketSource

Quantities = dict[int, int]
"""Lots by price in ticks; 0: the level is gone."""

Rows = frozenset[tuple[int, int]]
"""Price in ticks and lots of every level of a side."""

SPEEDS_MS = (100, 250, 500)
"""How often depth streams send. The real-time one, `@depth@0ms`, sends at every step of the book."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthChange:
    """What a message says.

    Attributes:
        first_id, last_id: update ids from the first to the last change in it.
        previous_id: `last_id` of the message before.
        bids, asks: levels that changed.
    """

    first_id: int
    last_id: int
    previous_id: int
    bids: Quantities
    asks: Quantities

    def top_of(self, book: Book, count: int) -> "DepthChange":
        """The same ids with the best `count` levels of each side of a book."""
        return replace(self, bids=_top(book.bids, count), asks=_top(book.asks, count))


@dataclass(frozen=True, slots=True, kw_only=True)
class _State:
    """A book, and price and quantity of its levels."""

    book: Book
    bids: Rows
    asks: Rows


@dataclass(slots=True)
class DepthFeed:
    """The depth streams of one instrument, all speeds alike.

    Attributes:
        source: the market.
        instrument: whose book it is.
    """

    source: MarketSource
    instrument: SimulatedInstrument
    _states: deque[_State] = field(default_factory=lambda: deque(maxlen=4))
    _pending: dict[int, DepthChange] = field(default_factory=dict)
    _prepared: tuple[int, tuple[int, ...], DepthChange] | None = None

    def book(self, at_ms: int) -> Book:
        """The book at an instant; the last few are kept."""
        return self._state(at_ms).book

    def prepare(self, step: int, inside_ms: Sequence[int]) -> None:
        """Make what `advance` will need at a step before it is due, so that it is sent without delay then.

        Nothing at the end of a recording, after which there is no step.
        """
        if self.source.span_ms is not None and step * BOOK_STEP_MS >= self.source.span_ms[1]:
            return
        self._prepared = (step, tuple(inside_ms), self._step_change(step, inside_ms))

    def is_prepared(self, step: int) -> bool:
        """Whether `prepare` has been called for a step."""
        return self._prepared is not None and self._prepared[0] == step

    def advance(self, step: int, inside_ms: Sequence[int]) -> dict[int, DepthChange]:
        """Go on to a step of the book; the messages that are due at it, by the speed of their stream.

        Args:
            step: number of the step, its start over the length of a step; the one after the last.
            inside_ms: when the book changed between the step before and this one, because there were trades.
        """
        at_ms = step * BOOK_STEP_MS
        if self._prepared is not None and self._prepared[:2] == (step, tuple(inside_ms)):
            change = self._prepared[2]
        else:
            change = self._step_change(step, inside_ms)
        due = {}
        for speed_ms in SPEEDS_MS:
            before = self._pending.pop(speed_ms, None)
            joined = _join(before, change) if before else change
            if at_ms // speed_ms > (at_ms - BOOK_STEP_MS) // speed_ms:
                due[speed_ms] = _never_empty(joined, self.book(at_ms))
            else:
                self._pending[speed_ms] = joined
        return due

    def leap(self, last_step: int, frozen_ms: int, step: int) -> dict[int, DepthChange]:
        """Go from a market that stood still to the present; the messages of all streams, by their speed.

        Args:
            last_step: the last step that was sent.
            frozen_ms: the instant at which the market stood still.
            step: the present step.
        """
        at_ms = step * BOOK_STEP_MS
        change = self._change(last_step * BOOK_STEP_MS, [frozen_ms], at_ms)
        due = {}
        for speed_ms in SPEEDS_MS:
            before = self._pending.pop(speed_ms, None)
            due[speed_ms] = _never_empty(_join(before, change) if before else change, self.book(at_ms))
        return due

    def forget(self) -> None:
        """Nobody hears the streams any more: the next step begins them anew."""
        self._pending.clear()

    def _state(self, at_ms: int) -> _State:
        for state in self._states:
            if state.book.at_ms == at_ms:
                return state
        book = self.source.book(self.instrument.instrument_id, instant(at_ms))
        state = _State(book=book, bids=_rows(book.bids), asks=_rows(book.asks))
        self._states.append(state)
        return state

    def _step_change(self, step: int, inside_ms: Sequence[int]) -> DepthChange:
        return self._change((step - 1) * BOOK_STEP_MS, inside_ms, step * BOOK_STEP_MS)

    def _change(self, first_ms: int, inside_ms: Sequence[int], last_ms: int) -> DepthChange:
        """From the step at `first_ms` to the one at `last_ms`, by way of the moments inside."""
        states = [self._state(at_ms) for at_ms in dict.fromkeys((first_ms, *inside_ms, last_ms))]
        previous = first_ms // BOOK_STEP_MS * UPDATES_PER_STEP
        return DepthChange(
            first_id=previous + 1,
            last_id=last_ms // BOOK_STEP_MS * UPDATES_PER_STEP,
            previous_id=previous,
            bids=_changed([state.bids for state in states]),
            asks=_changed([state.asks for state in states]),
        )


def _rows(levels: Levels) -> Rows:
    return frozenset(zip(levels.price.tolist(), levels.quantity.tolist(), strict=True))


def _changed(states: list[Rows]) -> Quantities:
    """Levels that differ between any two neighbouring states, with their last quantities."""
    touched = {price for before, after in pairwise(states) for price, _ in before ^ after}
    last = dict(states[-1])
    return {price: last.get(price, 0) for price in touched}


def _join(before: DepthChange, after: DepthChange) -> DepthChange:
    """Two neighbouring messages as one."""
    return replace(
        after,
        first_id=before.first_id,
        previous_id=before.previous_id,
        bids=before.bids | after.bids,
        asks=before.asks | after.asks,
    )


def _never_empty(change: DepthChange, book: Book) -> DepthChange:
    """The same, or the best levels again: the venue sends no message without levels."""
    if change.bids or change.asks:
        return change
    return change.top_of(book, 1)


def _top(levels: Levels, count: int) -> Quantities:
    return dict(zip(levels.price[:count].tolist(), levels.quantity[:count].tolist(), strict=True))

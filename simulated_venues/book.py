"""The order book around the trades: a pure function of (key, last trade, time).

Best prices follow the last trade: the side that it took stands at its price, the other a spread away. Every price has
a clock of its own; when it strikes, the quantity there is drawn anew. Near the best price every tick has a level,
farther away every 8th and then every 32nd, so a level may also come or go because the best price has moved.
"""

import math
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from simulated_venues.bars import Trades
from simulated_venues.random import philox, unit
from simulated_venues.source import BOOK_STEP_MS, UPDATES_PER_STEP, Book, Levels, Quotes

Integers = NDArray[np.int64]
Drawn = tuple[float, int]
"""Mean quantity of a level and its longest life, as in `BookShape`."""

TRADES_PER_LEVEL = 3.0
"""Mean quantity of a level in mean quantities of a trade, wherever a book is drawn around trades of known size."""

BOOK_TICKS = 1_024
"""How far from the best price levels may stand."""

_LEVEL_CLOCK, _LEVEL_SIZE, _SPREAD = 300, 301, 302
_BID, _ASK = 0, 1
_FULL_TICKS, _NEAR_TICKS, _MIDDLE_TICKS = 8, 32, 128


@dataclass(frozen=True, slots=True, kw_only=True)
class BookShape:
    """How an instrument's book is drawn.

    Attributes:
        key: Philox key of its random numbers.
        mean_lots: mean quantity of a level, lots.
        longest_life_steps: a level's quantity lasts 1 to this many steps of the book.
    """

    key: np.uint64
    mean_lots: float
    longest_life_steps: int


def book_at(shape: BookShape, trade_id: int, price: int, *, seller_took: bool, at_ms: int, update_id: int) -> Book:
    """The book at an instant whose last trade was `trade_id` at `price` ticks."""
    step = at_ms // BOOK_STEP_MS
    bid, ask = _best(shape.key, trade_id, price, seller_took)
    sides = [
        Levels(price=prices, quantity=quantities, since_ms=since * BOOK_STEP_MS)
        for prices, quantities, since in (
            _side(shape.key, _BID, bid, step, (shape.mean_lots, shape.longest_life_steps)),
            _side(shape.key, _ASK, ask, step, (shape.mean_lots, shape.longest_life_steps)),
        )
    ]
    return Book(at_ms=at_ms, update_id=update_id, bids=sides[0], asks=sides[1])


def book_after(shape: BookShape, trades: Trades, at_ms: int) -> Book:
    """The book at an instant, from the trades up to it: the last trade, and those since the book's step began."""
    return book_at(
        shape,
        int(trades.trade_id[-1]),
        int(trades.price[-1]),
        seller_took=bool(trades.buyer_is_maker[-1]),
        at_ms=at_ms,
        update_id=update_id_at(trades.traded_at_ms, at_ms),
    )


def quotes_of(shape: BookShape, trades: Trades) -> Quotes:
    """Best prices and their quantities from just before each trade on."""
    steps = trades.traded_at_ms // BOOK_STEP_MS
    bid, ask, bid_quantity, ask_quantity = _quotes(
        shape.key,
        trades.trade_id,
        trades.price,
        trades.buyer_is_maker,
        steps,
        (shape.mean_lots, shape.longest_life_steps),
    )
    return Quotes(
        at_ms=trades.traded_at_ms,
        update_id=update_ids(trades.traded_at_ms),
        bid=bid,
        ask=ask,
        bid_quantity=bid_quantity,
        ask_quantity=ask_quantity,
    )


def update_id_at(traded_at_ms: Integers, at_ms: int) -> int:
    """Id of the book's last change at or before an instant; the trades are in order of time."""
    step = at_ms // BOOK_STEP_MS
    start, stop = np.searchsorted(traded_at_ms, [step * BOOK_STEP_MS, at_ms + 1])
    return int(update_ids(traded_at_ms[start:stop])[-1]) if stop > start else step * UPDATES_PER_STEP


@njit(cache=True, nogil=True)
def update_ids(at_ms: Integers) -> Integers:
    """Id of the book's change that comes with each of some trades in order of time, the first at a step's first trade.

    A step's own change has the id step × 1,000; the trades inside it follow, and share its last id from the 999th on.
    """
    ids = np.empty(len(at_ms), np.int64)
    step, within = -1, 0
    for i in range(len(at_ms)):
        now = at_ms[i] // BOOK_STEP_MS
        within = within + 1 if now == step else 1
        step = now
        ids[i] = now * UPDATES_PER_STEP + min(within, UPDATES_PER_STEP - 1)
    return ids


@njit(cache=True, nogil=True)
def _best(key: np.uint64, trade_id: int, price: int, seller_took: bool) -> tuple[int, int]:
    """Best bid and ask with a trade, ticks: one tick apart seven times out of ten."""
    u = unit(philox(trade_id, _SPREAD, key)[0])
    spread = 1 if u < 0.7 else 1 + math.floor(-2.0 * math.log((u - 0.7) / 0.3 + 1e-9)) % 40
    if seller_took:
        return price, price + spread
    return max(1, price - spread), max(price, 2)


@njit(cache=True, nogil=True)
def _level(key: np.uint64, side: int, price: int, distance: int, step: int, drawn: Drawn) -> tuple[int, int]:
    """Quantity in lots, 0 for no level, and the step at which it was set."""
    mean_lots, longest_life = drawn
    clock = philox(price, _LEVEL_CLOCK + 10 * side, key)
    life = 1 + int(clock[0]) % longest_life
    phase = int(clock[1]) % life
    strike = (step + phase) // life
    words = philox(strike, (price << 12) + _LEVEL_SIZE + 10 * side, key)
    density = 1.0 if distance < _FULL_TICKS else (0.5 if distance < _NEAR_TICKS else 0.9)
    since = strike * life - phase
    if unit(words[0]) >= density:
        return 0, since
    # Of the price and its clock alone: a level that the best price moves away from is still the same level.
    return 1 + math.floor(-mean_lots * math.log(unit(words[1]))), since


@njit(cache=True, nogil=True)
def _side(key: np.uint64, side: int, best: int, step: int, drawn: Drawn) -> tuple[Integers, Integers, Integers]:
    """Prices, quantities and steps of a side, best first."""
    prices, quantities = np.empty(BOOK_TICKS, np.int64), np.empty(BOOK_TICKS, np.int64)
    since = np.empty(BOOK_TICKS, np.int64)
    direction, count, distance = (-1 if side == _BID else 1), 0, -1
    while distance < BOOK_TICKS - 1:
        distance += 1
        price = best + direction * distance
        if price < 1:
            break
        grid = 1 if distance < _NEAR_TICKS else (8 if distance < _MIDDLE_TICKS else 32)
        off_grid = (direction * -price) % grid
        if off_grid:
            distance += off_grid - 1
            continue
        quantity, set_at = _level(key, side, price, distance, step, drawn)
        if quantity > 0:
            prices[count], quantities[count], since[count] = price, quantity, set_at
            count += 1
    return prices[:count].copy(), quantities[:count].copy(), since[:count].copy()


@njit(cache=True, nogil=True)
def _quotes(
    key: np.uint64,
    ids: Integers,
    prices: Integers,
    seller_took: NDArray[np.bool_],
    steps: Integers,
    drawn: Drawn,
) -> tuple[Integers, Integers, Integers, Integers]:
    n = len(ids)
    bid, ask = np.empty(n, np.int64), np.empty(n, np.int64)
    bid_quantity, ask_quantity = np.empty(n, np.int64), np.empty(n, np.int64)
    for i in range(n):
        bid[i], ask[i] = _best(key, ids[i], prices[i], seller_took[i])
        bid_quantity[i] = _level(key, _BID, bid[i], 0, steps[i], drawn)[0]
        ask_quantity[i] = _level(key, _ASK, ask[i], 0, steps[i], drawn)[0]
    return bid, ask, bid_quantity, ask_quantity

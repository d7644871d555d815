"""A day's trades of this venue, made from the shared market's."""

from dataclasses import dataclass, fields
from typing import Self

import numpy as np
from numba import njit
from numpy.typing import NDArray

from simulated_venues.bars import Trades
from simulated_venues.random import Floats, fill_averages, philox, unit
from simulated_venues.source import Integers

_KEEP, _BASIS = 400, 401
_BASIS_RAW_BARS = 15
_BASIS_DECAY = 0.97
_BASIS_SPREAD = 0.0003
"""Standard deviation of the basis, as a fraction of the price; it halves in some six hours at natural speed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tape:
    """Trades in the market's ticks and steps, one element a trade, in order of time.

    Attributes:
        trade_id, at_ms, price, quantity: int64.
        seller_took: bool.
        money_before: int64, ticks × steps of all earlier trades of the day; one element more than there are trades.
    """

    trade_id: Integers
    at_ms: Integers
    price: Integers
    quantity: Integers
    seller_took: NDArray[np.bool_]
    money_before: Integers

    def __len__(self) -> int:
        return len(self.trade_id)

    def between(self, first_ms: int, last_ms: int) -> Self:
        """The trades in [first, last)."""
        start, stop = (int(each) for each in np.searchsorted(self.at_ms, [first_ms, last_ms]))
        cut = {field.name: getattr(self, field.name)[start:stop] for field in fields(self)}
        return type(self)(**{**cut, "money_before": self.money_before[start : stop + 1]})


def thin(trades: Trades, key: np.uint64, *, share: float, ticks: float, steps: float, raw_interval_ms: int) -> Tape:
    """The trades of the shared market that also happen here.

    Args:
        trades: the source's.
        key: Philox key of this venue's random numbers for the instrument.
        share: of trades that are kept.
        ticks: a tick of the source in this venue's ticks.
        steps: a lot of the source in this venue's steps, after scaling.
        raw_interval_ms: length of a raw bar.
    """
    kept = np.flatnonzero(_kept(key, trades.trade_id, share))
    at_ms = trades.traded_at_ms[kept]
    moved = trades.price[kept] * ticks * (1.0 + basis_at(at_ms, key, raw_interval_ms))
    price = np.maximum(2, np.rint(moved)).astype(np.int64)
    quantity = np.maximum(1, np.rint(trades.quantity[kept] * steps)).astype(np.int64)
    return Tape(
        trade_id=trades.trade_id[kept],
        at_ms=at_ms,
        price=price,
        quantity=quantity,
        seller_took=trades.buyer_is_maker[kept],
        money_before=np.concatenate((np.zeros(1, np.int64), np.cumsum(price * quantity))),
    )


def basis_at(at_ms: Integers, key: np.uint64, raw_interval_ms: int) -> Floats:
    """How far this venue's price stands from the source's at some instants in order, as a fraction of it."""
    if not len(at_ms):
        return np.empty(0)
    every = raw_interval_ms * _BASIS_RAW_BARS
    first = int(at_ms[0]) // every
    knots = np.empty(int(at_ms[-1]) // every - first + 2)
    fill_averages(key, _BASIS, first, _BASIS_DECAY, knots)
    return _BASIS_SPREAD * np.interp(at_ms / every - first, np.arange(len(knots)), knots)


@njit(cache=True, nogil=True)
def _kept(key: np.uint64, ids: Integers, share: float) -> NDArray[np.bool_]:
    kept = np.empty(len(ids), np.bool_)
    for i in range(len(ids)):
        kept[i] = unit(philox(ids[i], _KEEP, key)[0]) < share
    return kept

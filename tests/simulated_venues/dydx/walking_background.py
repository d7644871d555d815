"""A small background that walks at random, fast enough for a hundred thousand orders."""

from dataclasses import dataclass, field

import numpy as np

from simulated_venues.dydx.records import BackgroundTrade, Market, Side
from simulated_venues.source import Book, Levels

SECOND_MS = 1_000
LEVELS = 6


@dataclass
class WalkingBackground:
    """A price that moves every second, and levels whose quantities last a few seconds; a function of time alone.

    Attributes:
        seed: of everything.
        first_ms: when the walk begins.
        seconds: how long it lasts.
        volatility: standard deviation of a second's move, ticks.
    """

    seed: int
    first_ms: int
    seconds: int
    volatility: float = 12.0
    start_ticks: int = 40_000
    funding_interval_ms: int = 60_000
    _paths: dict[int, list[int]] = field(default_factory=dict)
    _tapes: dict[int, tuple[list[int], list[int], list[int], list[bool]]] = field(default_factory=dict)

    def mid(self, market: Market, at_ms: int) -> int:
        path = self._paths.get(market.clob_pair_id)
        if path is None:
            random = np.random.default_rng([self.seed, market.clob_pair_id])
            moves = np.rint(random.normal(0, self.volatility, self.seconds + 1)).cumsum()
            walked = self.start_ticks + moves.astype(np.int64)
            path = self._paths[market.clob_pair_id] = np.maximum(walked, 1_000).tolist()
        return path[(at_ms - self.first_ms) // SECOND_MS]

    def level(self, market: Market, side: Side, price: int, at_ms: int) -> tuple[int, int]:
        """Quantity in steps, and since when."""
        key = hash((self.seed, market.clob_pair_id, side is Side.BUY, price)) & 0xFFFFFF
        life = SECOND_MS * (1 + key % 7)
        since = at_ms - (at_ms + key % life) % life
        return 1 + (hash((key, since)) & 0xFFFF) % 600, since

    def book(self, market: Market, at_ms: int) -> Book:
        mid, sides = self.mid(market, at_ms), []
        for side, prices in (
            (Side.BUY, range(mid - 1, mid - 1 - LEVELS, -1)),
            (Side.SELL, range(mid + 1, mid + 1 + LEVELS)),
        ):
            rows = np.array([(price, *self.level(market, side, price, at_ms)) for price in prices], np.int64)
            sides.append(Levels(price=rows[:, 0], quantity=rows[:, 1], since_ms=rows[:, 2]))
        return Book(at_ms=at_ms, update_id=at_ms, bids=sides[0], asks=sides[1])

    def trades(self, market: Market, first_ms: int, last_ms: int) -> list[BackgroundTrade]:
        tape = self._tapes.get(market.clob_pair_id)
        if tape is None:
            tape = self._tapes[market.clob_pair_id] = self._make_tape(market)
        start, stop = np.searchsorted(tape[0], [first_ms, last_ms])
        return [
            BackgroundTrade(
                trade_id=number,
                at_ms=int(tape[0][number]),
                taker=Side.SELL if tape[3][number] else Side.BUY,
                quantums=int(tape[2][number]) * market.step_base_quantums,
                subticks=int(tape[1][number]) * market.subticks_per_tick,
            )
            for number in range(start, stop)
        ]

    def oracle_e8(self, market: Market, at_ms: int) -> int:
        # A tick is `subticks_per_tick`, so that one price serves markets of any tick.
        return int(market.price(self.mid(market, at_ms) * market.subticks_per_tick) * 10**8)

    def funding_rate_e12(self, market: Market, settled_at_ms: int) -> int:
        return hash((self.seed, market.clob_pair_id, settled_at_ms)) % 2_000_000_000 - 1_000_000_000

    def _make_tape(self, market: Market) -> tuple[np.ndarray, ...]:
        random = np.random.default_rng([self.seed, 100 + market.clob_pair_id])
        n = self.seconds * 3
        at_ms = np.sort(self.first_ms + random.integers(0, self.seconds * SECOND_MS, n))
        self.mid(market, self.first_ms)
        mids = np.array(self._paths[market.clob_pair_id])[(at_ms - self.first_ms) // SECOND_MS]
        sold = random.random(n) < 0.5
        prices = mids + np.where(sold, -1, 1) * random.integers(1, 4, n)
        return at_ms, prices, random.integers(1, 800, n), sold

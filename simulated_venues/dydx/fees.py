"""What a fill costs: the owner's tier over its volume of 30 days.

Tiers: v4-chain x/feetiers and genesis of dydx-mainnet-1, as they are since block 6,480,000; documents of the protocol,
2024. Tiers 6 to 9, the ones with rebates, also want a share of everybody's volume. The background's volume is nobody's,
so no owner has such a share and they are not in the default list. A fill's volume counts at once, for both sides of a
match; the protocol counts it at the end of the block.
"""

from collections import Counter
from dataclasses import dataclass, field, replace

from simulated_venues.dydx.block import PPM
from simulated_venues.dydx.state import Table, Volume

WINDOW_INTERVALS = 30 * 24
"""Funding intervals over which volume counts: 30 days at natural speed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeeTier:
    """What owners with at least so much volume pay, in millionths of a fill; a negative fee is a rebate."""

    volume_quote_quantums: int
    taker_ppm: int
    maker_ppm: int


MAINNET_TIERS = tuple(
    FeeTier(volume_quote_quantums=millions * 10**12, taker_ppm=taker, maker_ppm=maker)
    for millions, taker, maker in ((0, 500, 100), (1, 450, 100), (5, 400, 50), (25, 350, 0), (125, 300, 0))
)


def fee_quote_quantums(quote_quantums: int, ppm: int) -> int:
    """Fee of a fill, rounded towards plus infinity, rebates too (v4-chain, `persistMatchedOrders`)."""
    return -(-quote_quantums * ppm // PPM)


@dataclass(slots=True)
class Volumes:
    """Every owner's volume, by funding interval.

    Attributes:
        tiers: from the lowest volume on; the first is for everybody.
        rows: by owner and interval.
    """

    tiers: tuple[FeeTier, ...]
    rows: Table[tuple[str, int], Volume] = field(default_factory=Table)
    _totals: Counter[str] = field(default_factory=Counter)
    _taken: Counter[str] = field(default_factory=Counter)
    _oldest: int = 0

    def add(self, volume: Volume) -> None:
        """Count a fill, or what another one has counted of an interval."""
        key = (volume.owner, volume.interval)
        before = self.rows.get(key)
        if before is not None:
            volume = replace(
                volume,
                quote_quantums=before.quote_quantums + volume.quote_quantums,
                taker_quote_quantums=before.taker_quote_quantums + volume.taker_quote_quantums,
            )
            self._discount(before)
        self.rows.put(key, volume)
        self._totals[volume.owner] += volume.quote_quantums
        self._taken[volume.owner] += volume.taker_quote_quantums

    def forget_before(self, interval: int) -> None:
        """Drop what has left the window that ends with an interval."""
        oldest = interval - WINDOW_INTERVALS
        if oldest <= self._oldest:
            return
        self._oldest = oldest
        for key in [key for key in self.rows.rows if key[1] <= oldest]:
            self._discount(self.rows.rows[key])
            self.rows.drop(key)

    def total(self, owner: str) -> int:
        """An owner's volume in the window."""
        return self._totals[owner]

    def taken(self, owner: str) -> int:
        """What of an owner's volume in the window it took."""
        return self._taken[owner]

    def tier(self, owner: str) -> FeeTier:
        """The highest tier whose volume an owner has."""
        volume, found = self._totals[owner], self.tiers[0]
        for tier in self.tiers:
            if volume < tier.volume_quote_quantums:
                break
            found = tier
        return found

    def _discount(self, volume: Volume) -> None:
        self._totals[volume.owner] -= volume.quote_quantums
        self._taken[volume.owner] -= volume.taker_quote_quantums

"""What a simulated market is made from: its whole identity, so equal settings give equal prices."""

import hashlib
import json
from dataclasses import asdict, dataclass
from datetime import datetime
from decimal import Decimal

from helios_pipeline.core.errors import SettingsError
from simulated_venues.regimes import broken_rules

MARKET_VERSION = "simulated_market/1"
"""Grows when the same settings would give other prices; part of every archive's digest."""

RAW_BARS_PER_BAR = 15
RAW_BARS_PER_DAY = 1_440
RAW_BARS_PER_HOUR = 60
RAW_BARS_PER_FUNDING = 480
RAW_BARS_PER_METRICS = 5
MIN_TRADES_PER_RAW_BAR = 4
"""An open, a high, a low and a close that differ need four trades."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedInstrument:
    """One instrument of the market.

    Attributes:
        instrument_id: NautilusTrader's id; its random numbers are keyed by it.
        start_price: price at the settings' `priced_at`, in quote currency.
        tick: price step, in quote currency, a power of ten.
        lot: quantity step, in base currency, a power of ten.
        daily_volatility: standard deviation of a day's log return, the edge's component left out.
        daily_volume: mean volume of a day, in base currency.
        trades_per_day: trades of every day, exactly; at least four a raw bar, 5,760.
    """

    instrument_id: str
    start_price: Decimal
    tick: Decimal
    lot: Decimal
    daily_volatility: float
    daily_volume: float
    trades_per_day: int

    def __post_init__(self) -> None:
        """Refuse an instrument whose bars could not be made exactly."""
        allowed = {
            "start_price > 0": self.start_price > 0,
            "tick = 10^-n, n ≥ 0": _is_power_of_ten(self.tick),
            "lot = 10^-n, n ≥ 0": _is_power_of_ten(self.lot),
            "0 < daily_volatility < 0.5": 0 < self.daily_volatility < 0.5,
            "daily_volume > 0": self.daily_volume > 0,
            "trades_per_day ≥ 5760": self.trades_per_day >= MIN_TRADES_PER_RAW_BAR * RAW_BARS_PER_DAY,
        }
        _refuse(f"simulated instrument {self.instrument_id}", allowed, self)

    def __hash__(self) -> int:
        """Of the id alone: days of the market are looked up by it many times a second."""
        return hash(self.instrument_id)

    @property
    def symbol(self) -> str:
        """The venue's own name, as in its files: `BTCUSDT` of `BTCUSDT-PERP.BINANCE`."""
        return self.instrument_id.rpartition(".")[0].removesuffix("-PERP")

    @property
    def price_decimals(self) -> int:
        """Decimals of a price on the tick grid."""
        return decimals_of(self.tick)

    @property
    def quantity_decimals(self) -> int:
        """Decimals of a quantity on the lot grid."""
        return decimals_of(self.lot)


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketSettings:
    """A whole simulated market.

    Attributes:
        seed: any whole number.
        instruments: what trades; each is independent of which others are listed.
        priced_at: instant at which every instrument stands at its start price, the start of a day of the market.
        raw_interval_ms: length of a raw bar; 60,000 for a market at natural speed. Everything else is counted in
            raw bars: 15 make a bar, 480 a funding interval, 1,440 a day of the market.
        factor_share: share of each instrument's variance that comes from the factor common to all.
        edge: standard deviation of the mean-reverting component of the log price, in daily volatilities. With 0
            there is none, and no return can be foretold.
        edge_half_life: raw bars in which the mean-reverting component loses half of its value.
        regimes: names from `regimes.REGIMES` that the market goes through; with none it has no regimes.
    """

    seed: int
    instruments: tuple[SimulatedInstrument, ...]
    priced_at: datetime
    raw_interval_ms: int
    factor_share: float
    edge: float
    edge_half_life: float
    regimes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a market that would not be a function of time alone."""
        ids = [instrument.instrument_id for instrument in self.instruments]
        allowed = {
            "every instrument once": len(set(ids)) == len(ids),
            "1 ≤ raw_interval_ms": self.raw_interval_ms >= 1,
            "0 ≤ factor_share ≤ 1": 0 <= self.factor_share <= 1,
            "edge ≥ 0": self.edge >= 0,
            "30 ≤ edge_half_life ≤ 14400": 30 <= self.edge_half_life <= 14_400,
            "priced_at with a time zone": self.priced_at.tzinfo is not None,
            **dict.fromkeys(broken_rules(self.regimes), False),
        }
        _refuse("simulated market", allowed, self)
        if round(self.priced_at.timestamp() * 1_000) % (self.raw_interval_ms * RAW_BARS_PER_DAY):
            raise SettingsError(
                f"simulated market: expected priced_at at the start of a day of the market, a multiple of "
                f"{self.raw_interval_ms * RAW_BARS_PER_DAY} ms since 1970, found {self.priced_at.isoformat()}."
            )

    def __hash__(self) -> int:
        """Of what usually differs: days of the market are looked up by it many times a second."""
        return hash((self.seed, self.raw_interval_ms, self.edge))

    def instrument(self, instrument_id: str) -> SimulatedInstrument:
        """The instrument of that id.

        Raises:
            SettingsError: this market does not trade it.
        """
        for instrument in self.instruments:
            if instrument.instrument_id == instrument_id:
                return instrument
        raise SettingsError(
            f"simulated market: expected one of {[i.instrument_id for i in self.instruments]}, "
            f"found {instrument_id!r}. Add it to the market's instruments."
        )

    @property
    def origin_day(self) -> int:
        """Day of the market, counted since 1970, whose start is `priced_at`."""
        return round(self.priced_at.timestamp() * 1_000) // (self.raw_interval_ms * RAW_BARS_PER_DAY)

    @property
    def digest(self) -> str:
        """Hash of everything that decides a price: the version and every setting, as 16 hexadecimal digits."""
        stated = asdict(self)
        if not self.regimes:
            # A market without regimes keeps the digest it had before there were any: its prices are the same.
            del stated["regimes"]
        text = json.dumps([MARKET_VERSION, stated], default=str, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def decimals_of(step: Decimal) -> int:
    """Decimals of a step of 10^-n."""
    return -step.normalize().as_tuple().exponent  # type: ignore[operator]


def _is_power_of_ten(step: Decimal) -> bool:
    return step.is_finite() and step > 0 and step.normalize().as_tuple().digits == (1,) and decimals_of(step) >= 0


def _refuse(what: str, allowed: dict[str, bool], found: object) -> None:
    broken = [rule for rule, holds in allowed.items() if not holds]
    if broken:
        raise SettingsError(f"{what}: expected {', '.join(broken)}; found {found}. Correct it in helios.toml.")

"""Market data that can be cut, trimmed and shuffled, and then goes through the very stages of a round."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

import polars as pl

from helios_pipeline.core.calendar import BAR_INTERVAL
from helios_pipeline.core.records import AllocationLimits, Costs, FeatureSettings, Instrument, Window
from helios_pipeline.data.quarantine import STAMP
from helios_pipeline.features.frame import make_features
from helios_pipeline.simulation.inputs import SimulationInputs, build_inputs

NO_OPEN_INTEREST = pl.DataFrame(schema={"measured_at": STAMP, "open_interest": pl.Float64()})
"""It never enters a decision."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """Bars and settlements of several instruments, and everything else that a simulation's numbers depend on.

    Attributes:
        instruments: in any order.
        bars: by instrument id; valid bars, ascending.
        funding: by instrument id; settlements, ascending.
        costs: of every fill.
        limits: of the allocation.
        feature_settings: of the features.
        initial_equity_quote: cash at the start.
        window: what is evaluated; earlier rows are warm-up.
    """

    instruments: Sequence[Instrument]
    bars: Mapping[str, pl.DataFrame]
    funding: Mapping[str, pl.DataFrame]
    costs: Costs
    limits: AllocationLimits
    feature_settings: FeatureSettings
    initial_equity_quote: Decimal
    window: Window

    def known_at(self, instant: datetime) -> "Market":
        """What could be known then: bars that had closed, settlements strictly before; the window ends there."""
        return replace(
            self,
            bars={name: rows.filter(pl.col("opened_at") + BAR_INTERVAL <= instant) for name, rows in self.bars.items()},
            funding={name: rows.filter(pl.col("settled_at") < instant) for name, rows in self.funding.items()},
            window=Window(first=self.window.first, last=instant),
        )


def make_inputs(market: Market) -> SimulationInputs:
    """Features and simulation inputs of a market, made as those of a round are.

    Raises:
        DataError: a price is off its tick, or a settlement inside the window is missing.
    """
    features = {
        name: make_features(
            bars,
            market.funding[name],
            NO_OPEN_INTEREST,
            market.feature_settings,
            instrument_id=name,
            interval=BAR_INTERVAL,
        )
        for name, bars in market.bars.items()
    }
    return build_inputs(
        market.instruments,
        market.bars,
        features,
        market.funding,
        costs=market.costs,
        limits=market.limits,
        feature_settings=market.feature_settings,
        initial_equity_quote=market.initial_equity_quote,
        window=market.window,
    )

"""One row of the trial ledger, as the sweep makes it and a store keeps it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from helios_pipeline.core.records import Window


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEntry:
    """One parameter set evaluated on one window.

    Attributes:
        key: SHA-256, in hex, of everything that makes this trial another than others: strategy version, instruments,
            costs, limits, feature settings and parameters, not the window.
        market_data: which bars: `binance`, or a simulated market with its seed. Others are other bars.
        strategy_version: version of the strategy's definition.
        instruments: instrument ids, in any order.
        costs: what trading costs.
        vol_target: yearly standard deviation aimed at, fraction of equity.
        parameters: the set.
        window: bars evaluated.
        round: the round that evaluated it.
        round_trips: closed ones.
        blocks: float64[16, 3]: days, sum of daily net returns, sum of their squares, per block.
    """

    key: str
    market_data: str
    strategy_version: str
    instruments: Sequence[str]
    costs: Mapping[str, object]
    vol_target: float
    parameters: Mapping[str, object]
    window: Window
    round: str
    round_trips: int
    blocks: NDArray[np.float64]

"""Rows of the trial ledger in bulk, as the sweep makes them and a store keeps them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from helios_pipeline.core.records import Window

BLOCK_SHAPE = (16, 3)
"""Blocks of days, and what is kept of each: days, sum of daily net returns, sum of their squares."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trials:
    """Parameter sets evaluated on one window, each a row of the ledger.

    Attributes:
        keys: of each set, SHA-256 in hex of everything that makes this trial another than others: strategy version,
            instruments, costs, limits, feature settings and parameters, not the window.
        parameters: of each set, its canonical text, a JSON object.
        round_trips: int64[sets], closed ones.
        blocks: float64[sets, 16, 3]: days, sum of daily net returns, sum of their squares, per block.
        market_data: which bars: `binance`, or a simulated market with its seed. Others are other bars.
        strategy_version: version of the strategy's definition.
        instruments: instrument ids, in any order.
        costs: what trading costs.
        vol_target: yearly standard deviation aimed at, fraction of equity.
        window: bars evaluated.
        round: the round that evaluated them.

    Raises:
        ValueError: the sets of keys, parameters, round trips and blocks are not equally many, or blocks have another
            shape.
    """

    keys: Sequence[str]
    parameters: Sequence[str]
    round_trips: NDArray[np.int64]
    blocks: NDArray[np.float64]
    market_data: str
    strategy_version: str
    instruments: Sequence[str]
    costs: Mapping[str, object]
    vol_target: float
    window: Window
    round: str

    def __post_init__(self) -> None:
        """Refuse columns that do not belong together."""
        sets = len(self.keys)
        shapes = (len(self.parameters), self.round_trips.shape, self.blocks.shape)
        if shapes != (sets, (sets,), (sets, *BLOCK_SHAPE)):
            raise ValueError(
                f"trials of round {self.round}: expected {sets} parameters, round trips of shape {(sets,)} and blocks "
                f"of shape {(sets, *BLOCK_SHAPE)}, found {shapes}"
            )

    def __len__(self) -> int:
        """How many sets there are."""
        return len(self.keys)

"""Which checks a month of each asset has to pass, and what may be asked of them; the verdicts are in `data.checks`."""

from collections.abc import Mapping
from dataclasses import dataclass

from helios_pipeline.core.checks import CheckSpec

SCHEMA = CheckSpec(
    name="schema", description="Every column has its type and every row satisfies the pandera schema of this asset."
)
EXPECTATIONS = CheckSpec(
    name="expectations", description="The Great Expectations suite of this asset holds; its page shows each of them."
)
SOUND_ROWS = CheckSpec(
    name="sound_rows",
    description="No more than checks.max_refused_rows rows are such as no sound source publishes: doubled, "
    "contradictory, unreadable, off the clock, not finite, or of another month.",
)
SOUND_PRICES = CheckSpec(
    name="sound_prices",
    description="No more than checks.max_refused_rows rows have impossible values: a price at or below zero, a low "
    "above the open, a price that moved without volume.",
)
SAME_SCALE = CheckSpec(
    name="same_scale",
    description="No more than checks.max_refused_rows rows lie by more than a factor of two off the price before.",
)
COMPLETE = CheckSpec(
    name="complete",
    description="No more than checks.max_missing_fraction of the month's bars are missing, and no more than "
    "checks.max_gap_bars in a row; bars in which nobody traded are not missing.",
)
EVERY_SETTLEMENT = CheckSpec(
    name="every_settlement", description="Every settlement that the intervals of this month's rates call for is there."
)
ONE_ROW_PER_BAR = CheckSpec(
    name="one_row_per_bar", description="Each bar of the month has its row of features, and no other instant has one."
)

MONTHLY_CHECKS: Mapping[str, tuple[CheckSpec, ...]] = {
    "raw_klines": (SCHEMA, SOUND_ROWS),
    "raw_funding_rates": (SCHEMA, SOUND_ROWS, EVERY_SETTLEMENT),
    "raw_open_interest": (SCHEMA, SOUND_ROWS),
    "bars_15m": (SCHEMA, EXPECTATIONS, SOUND_PRICES, SAME_SCALE, COMPLETE),
    "funding_features": (SCHEMA, EXPECTATIONS, ONE_ROW_PER_BAR),
}
"""Asset → its checks, in the order in which they are told."""

ACCEPTABLE = tuple(
    f"{asset}:{spec.name}"
    for asset, specs in MONTHLY_CHECKS.items()
    for spec in specs
    if spec in (SOUND_ROWS, SOUND_PRICES, SAME_SCALE, COMPLETE, EVERY_SETTLEMENT)
)
"""Checks, as Dagster spells them, that a person may overrule for a month: those that judge what the source published.

The others judge what Helios made of it; a month that fails one of them would mislead everything made from it.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckLimits:
    """How much damage a month may have.

    Attributes:
        max_refused_rows: rows that no sound source publishes, per check.
        max_missing_fraction: missing bars, as a fraction of all clock slots of the month so far.
        max_gap_bars: missing bars in a row.
    """

    max_refused_rows: int
    max_missing_fraction: float
    max_gap_bars: int

"""The checks of each monthly asset, on its frame before it is stored."""

from assets.months import Made, Month
from assets.research import Research
from helios_pipeline.core.checks import CheckOutcome, CheckSpec

RAW_KLINES_CHECKS: tuple[CheckSpec, ...] = ()
RAW_FUNDING_RATES_CHECKS: tuple[CheckSpec, ...] = ()
RAW_OPEN_INTEREST_CHECKS: tuple[CheckSpec, ...] = ()
BARS_15M_CHECKS: tuple[CheckSpec, ...] = ()
FUNDING_FEATURES_CHECKS: tuple[CheckSpec, ...] = ()


def judge_nothing(research: Research, month: Month, made: Made) -> tuple[CheckOutcome, ...]:  # noqa: ARG001
    return ()


judge_raw_klines = judge_raw_funding_rates = judge_raw_open_interest = judge_bars_15m = judge_funding_features = judge_nothing

from datetime import UTC, datetime, timedelta

import polars as pl
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st

from helios_pipeline.core.calendar import BAR_INTERVAL
from helios_pipeline.core.market_data import Candle
from helios_pipeline.data.bar_judge import BarJudge
from helios_pipeline.data.validate import validate_bars

UNIT = 10**8
FIRST = datetime(2024, 1, 1, tzinfo=UTC)

levels = st.lists(st.tuples(st.sampled_from([1, 1, 1, 1, 3, 10]), st.integers(0, 5), st.booleans()), max_size=60)


@limits(max_examples=200, deadline=None)
@given(levels)
def test_bars_judged_one_by_one_are_those_that_history_keeps(made):
    bars = [
        Candle(opened_ms=k, open=100 * scale * UNIT, high=(100 * scale + width) * UNIT, low=100 * scale * UNIT,
               close=(100 * scale + width) * UNIT, volume=UNIT * (is_traded or width > 0))
        for k, (scale, width, is_traded) in enumerate(made)
    ]  # fmt: skip
    frame = pl.DataFrame(
        {
            "opened_at": [FIRST + timedelta(minutes=15) * bar.opened_ms for bar in bars],
            **{
                name: [getattr(bar, name) / UNIT for bar in bars] for name in ("open", "high", "low", "close", "volume")
            },
        },
        schema_overrides={"opened_at": pl.Datetime("us", "UTC")}
        | dict.fromkeys(("open", "high", "low", "close", "volume"), pl.Float64),
    )
    judge = BarJudge()

    reasons = [judge.reason(bar) for bar in bars]

    kept = validate_bars(frame, interval=BAR_INTERVAL, source="test")
    assert [not reason for reason in reasons] == frame["opened_at"].is_in(kept.frame["opened_at"].to_list()).to_list()
    assert sorted(reason for reason in reasons if reason) == sorted(kept.quarantined["reason"].to_list())

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from helios_pipeline.core.errors import DataError
from helios_pipeline.data.validate import BARS_SCHEMA, require_valid_bars

START = datetime(2024, 1, 1, tzinfo=UTC)
BAR = timedelta(minutes=15)


def bars(**values: object) -> pl.DataFrame:
    rows = [
        {
            "opened_at": START + k * BAR,
            "closed_at": START + (k + 1) * BAR,
            **{"open": 100.0, "high": 101.0, "low": 99.0, "close": 100.5, "volume": 2.0},
            **{"quote_volume": None, "trade_count": None, "taker_buy_volume": None, "source": "1m"},
        }
        for k in range(3)
    ]
    rows[1].update(values)
    return pl.DataFrame(rows, schema=BARS_SCHEMA)


def test_sound_bars_pass_with_or_without_unrecorded_columns() -> None:
    recorded = bars(quote_volume=5.0, trade_count=3, taker_buy_volume=1.0)

    for sound in (bars(), recorded, BARS_SCHEMA.to_frame()):
        assert require_valid_bars(sound, where="bars") is None


@pytest.mark.parametrize(
    "values",
    [
        {"low": -1.0},
        {"open": float("nan")},
        {"high": float("inf")},
        {"close": None},
        {"low": 100.25},
        {"high": 100.25},
        {"volume": 0.0},
        {"volume": -1.0},
        {"quote_volume": -1.0},
        {"trade_count": -1},
        {"source": "guess"},
        {"opened_at": START},
        {"opened_at": START + BAR + timedelta(seconds=1)},
        {"closed_at": START + BAR},
    ],
)
def test_the_schema_refuses_every_kind_of_invalid_bar(values: dict[str, object]) -> None:
    with pytest.raises(DataError, match="bars of a test: expected bars that pass every check"):
        require_valid_bars(bars(**values), where="bars of a test")


def test_the_schema_refuses_bars_out_of_order() -> None:
    with pytest.raises(DataError, match="sorted"):
        require_valid_bars(bars().reverse(), where="bars")


def test_the_schema_refuses_other_columns() -> None:
    with pytest.raises(DataError, match="expected bars"):
        require_valid_bars(bars().drop("volume"), where="bars")

"""The pandera schemas: every kind of row that may not be in a frame is refused, and shown."""

import math
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from helios_pipeline.data.funding import FUNDING_RATE_DECIMALS, LARGEST_FUNDING_RATE, RAW_FUNDING_SCHEMA
from helios_pipeline.data.klines import RAW_KLINES_SCHEMA
from helios_pipeline.data.models import (
    bars_model,
    check_schema,
    raw_funding_rates_model,
    raw_klines_model,
    raw_open_interest_model,
)
from helios_pipeline.data.open_interest import RAW_OPEN_INTEREST_SCHEMA
from helios_pipeline.data.validate import BARS_SCHEMA
from helios_pipeline.simulation.funding import LARGEST_RATE, RATE_UNITS

START = datetime(2024, 1, 1, tzinfo=UTC)
BAR = timedelta(minutes=15)
HOUR = timedelta(hours=1)


def frame_of(schema: pl.Schema, row: dict[str, object], step: tuple[str, timedelta], changes: dict[str, object]):
    """Three rows one step apart, the second of them changed."""
    key, length = step
    rows = [row | {key: START + k * length} for k in range(3)]
    rows[1] |= changes
    return pl.DataFrame(rows, schema=schema)


def bars(**changes: object) -> pl.DataFrame:
    row = {
        **{"open": 100.0, "high": 101.0, "low": 99.0, "close": 100.5, "volume": 2.0},
        **{"quote_volume": None, "trade_count": None, "taker_buy_volume": None, "source": "1m"},
    }
    made = frame_of(BARS_SCHEMA, row, ("opened_at", BAR), {})
    made = made.with_columns(closed_at=pl.col("opened_at") + BAR)
    second = pl.int_range(pl.len()) == 1
    return made.with_columns(
        pl.when(second).then(pl.lit(value, dtype=BARS_SCHEMA[name])).otherwise(name).alias(name)
        for name, value in changes.items()
    )


def klines(**changes: object) -> pl.DataFrame:
    row = {
        **{"interval": "15m", "open": 100.0, "high": 101.0, "low": 99.0, "close": 100.5, "volume": 2.0},
        **dict.fromkeys(("quote_volume", "trade_count", "taker_buy_volume", "taker_buy_quote_volume")),
        "source": "archive",
    }
    return frame_of(RAW_KLINES_SCHEMA, row, ("opened_at", BAR), changes)


def funding(**changes: object) -> pl.DataFrame:
    row = {"funding_rate": 0.0001, "interval_hours": 8, "mark_price": None, "source": "archive"}
    made = frame_of(RAW_FUNDING_SCHEMA, row, ("settled_at", 8 * HOUR), changes)
    return made.with_columns(published_at=pl.coalesce("published_at", pl.col("settled_at") + timedelta(milliseconds=3)))


def open_interest(**changes: object) -> pl.DataFrame:
    row = {"open_interest": 5.0, "open_interest_quote": 500.0, "source": "archive"}
    return frame_of(RAW_OPEN_INTEREST_SCHEMA, row, ("measured_at", timedelta(minutes=5)), changes)


def judge(frame: pl.DataFrame):
    """The verdict of the schema of that kind of frame."""
    kinds = {"closed_at": bars_model, "interval": raw_klines_model, "settled_at": raw_funding_rates_model}
    model = next((model for column, model in kinds.items() if column in frame.columns), raw_open_interest_model)
    key = next(name for name in ("opened_at", "settled_at", "measured_at") if name in frame.columns)
    return check_schema(frame, model(), key=key)


@pytest.mark.parametrize(
    "sound",
    [
        bars(),
        bars(quote_volume=5.0, trade_count=3, taker_buy_volume=1.0),
        BARS_SCHEMA.to_frame(),
        klines(),
        klines(low=-1.0),  # judged where bars are made
        funding(),
        funding(funding_rate=-LARGEST_FUNDING_RATE, mark_price=60_000.0),
        open_interest(),
        RAW_OPEN_INTEREST_SCHEMA.to_frame(),
    ],
    ids=lambda frame: frame.columns[0] if isinstance(frame, pl.DataFrame) else None,
)
def test_sound_frames_pass(sound: pl.DataFrame) -> None:
    outcome = judge(sound)

    assert outcome.passed, outcome.failures
    assert outcome.failures.is_empty()
    assert outcome.facts == {"rows": sound.height, "failures": 0}


UNSOUND = [
    (bars, {"low": -1.0}),
    (bars, {"open": math.nan}),
    (bars, {"high": math.inf}),
    (bars, {"close": None}),
    (bars, {"low": 100.25}),
    (bars, {"high": 100.25}),
    (bars, {"volume": 0.0}),
    (bars, {"volume": -1.0}),
    (bars, {"quote_volume": -1.0}),
    (bars, {"trade_count": -1}),
    (bars, {"source": "guess"}),
    (bars, {"opened_at": START}),
    (bars, {"opened_at": START + BAR + timedelta(seconds=1)}),
    (bars, {"closed_at": START + BAR}),
    (klines, {"interval": "3m"}),
    (klines, {"open": math.nan}),
    (klines, {"volume": None}),
    (klines, {"opened_at": START}),
    (klines, {"opened_at": START + BAR + timedelta(minutes=1)}),
    (klines, {"source": "guess"}),
    (funding, {"funding_rate": 0.0501}),
    (funding, {"funding_rate": -0.06}),
    (funding, {"funding_rate": 0.000_100_000_01}),
    (funding, {"funding_rate": math.nan}),
    (funding, {"interval_hours": 0}),
    (funding, {"mark_price": 0.0}),
    (funding, {"published_at": START + 9 * HOUR}),
    (funding, {"settled_at": START}),
    (open_interest, {"open_interest": -1.0}),
    (open_interest, {"open_interest_quote": math.inf}),
    (open_interest, {"measured_at": START}),
]


@pytest.mark.parametrize(("make", "changes"), UNSOUND, ids=[f"{make.__name__} {change}" for make, change in UNSOUND])
def test_every_kind_of_unsound_row_is_refused_and_shown(make, changes: dict[str, object]) -> None:
    frame = make(**changes)

    outcome = judge(frame)

    assert (outcome.passed, outcome.severity) == (False, "error")
    key = frame.columns[0]
    assert frame[key][1] in outcome.failures[key].to_list()
    assert f"in {frame.height} rows, of: " in outcome.summary
    # The whole row stands beside what is wrong with it.
    assert set(frame.columns) <= {name.removesuffix("_of_row") for name in outcome.failures.columns}


def test_failures_name_column_value_and_row() -> None:
    outcome = judge(bars(low=-1.0))

    assert outcome.failures.select("opened_at", "check", "column", "value", "close").rows() == [
        (START + BAR, "greater_than(0)", "low", "-1.0", 100.5)
    ]


def test_rows_out_of_order_are_refused() -> None:
    assert judge(bars().reverse()).facts["failed"] == ["sorted"]
    assert judge(klines(interval="1m")).facts["failed"] == ["sorted, one row per interval and opening"]


@pytest.mark.parametrize("absent", ["volume", "low", "opened_at"])
def test_a_frame_without_a_column_is_refused_as_a_whole(absent: str) -> None:
    outcome = check_schema(bars().drop(absent), bars_model(), key="opened_at")

    assert outcome.passed is False
    assert "column_in_dataframe" in outcome.facts["failed"]


def test_a_column_of_another_type_is_refused() -> None:
    outcome = judge(bars().with_columns(pl.col("volume").cast(pl.Float32)))

    assert outcome.facts["failed"] == ["dtype('Float64')"]


def test_stored_rates_are_what_the_simulation_takes() -> None:
    assert LARGEST_RATE / RATE_UNITS == LARGEST_FUNDING_RATE
    assert 10**FUNDING_RATE_DECIMALS == RATE_UNITS

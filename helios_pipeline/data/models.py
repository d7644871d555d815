"""The pandera schema of each kind of frame: what its columns are and what every one of its rows satisfies.

Schemas are for collected frames: on a LazyFrame pandera would look at types only. pandera is imported on call, because
it takes seconds to load.
"""

import math
from datetime import timedelta
from typing import TYPE_CHECKING

import polars as pl

from helios_pipeline.core.calendar import BAR_INTERVAL
from helios_pipeline.core.checks import CheckOutcome
from helios_pipeline.data.funding import FUNDING_RATE_DECIMALS, LARGEST_FUNDING_RATE, LONGEST_INTERVAL_HOURS
from helios_pipeline.data.quarantine import STAMP

if TYPE_CHECKING:
    import pandera.polars as pandera

SCHEMA_CHECK = "schema"

_WHOLE = 1e-6
"""How near a double comes to the whole number of units that its decimals say; the largest rate has 5e8 of them."""


def check_schema(frame: pl.DataFrame, model: "pandera.DataFrameSchema", *, key: str) -> CheckOutcome:
    """Judge a frame by its schema.

    Args:
        frame: collected.
        model: of that kind of frame.
        key: the column that people look a row up by.

    Returns:
        Failures: check, column, value, then the columns of the row that failed; those are null where the frame as a
        whole did, as when a column is absent.
    """
    import pandera.errors

    try:
        model.validate(frame, lazy=True)
    except pandera.errors.SchemaErrors as error:
        failures = _failed_rows(frame, error.failure_cases, key=key)
        failed = failures["check"].unique().sort().to_list()
        summary = f"{failures.height:,} failures in {frame.height:,} rows, of: {', '.join(failed)}."
        return CheckOutcome(
            check=SCHEMA_CHECK,
            passed=False,
            severity="error",
            summary=summary,
            failures=failures,
            facts={"rows": frame.height, "failures": failures.height, "failed": failed},
        )
    return CheckOutcome(
        check=SCHEMA_CHECK,
        passed=True,
        severity="error",
        summary=f"{frame.height:,} rows of {frame.width} columns, every one as it should be.",
        facts={"rows": frame.height, "failures": 0},
    )


def raw_klines_model() -> "pandera.DataFrameSchema":
    """`raw_klines`. Prices may still be wrong: they are judged where bars are made, which know what is missing then."""
    import pandera.polars as pandera

    number = pandera.Column(pl.Float64, finite(), nullable=False)
    opened, interval = pl.col("opened_at"), pl.col("interval")
    return pandera.DataFrameSchema(
        {
            "opened_at": pandera.Column(STAMP, nullable=False),
            "interval": pandera.Column(pl.String, pandera.Check.isin(["1m", "15m"]), nullable=False),
            **dict.fromkeys(["open", "high", "low", "close", "volume"], number),
            "quote_volume": pandera.Column(pl.Float64, finite(), nullable=True),
            "trade_count": pandera.Column(pl.Int64, nullable=True),
            "taker_buy_volume": pandera.Column(pl.Float64, finite(), nullable=True),
            "taker_buy_quote_volume": pandera.Column(pl.Float64, finite(), nullable=True),
            "source": pandera.Column(pl.String, pandera.Check.isin(["archive", "rest"]), nullable=False),
        },
        checks=[
            row_wise("sorted, one row per interval and opening", _ascending("opened_at", within="interval")),
            row_wise(
                "opened on the grid of its interval",
                opened.dt.truncate(pl.when(interval == "15m").then(pl.lit("15m")).otherwise(pl.lit("1m"))) == opened,
            ),
        ],
        strict=True,
        ordered=True,
    )


def raw_funding_rates_model() -> "pandera.DataFrameSchema":
    """`raw_funding_rates`: rates exactly as the simulation takes them, or its money would not be exact."""
    import pandera.polars as pandera

    settled, published = pl.col("settled_at"), pl.col("published_at")
    units = pl.col("funding_rate") * 10**FUNDING_RATE_DECIMALS
    return pandera.DataFrameSchema(
        {
            "settled_at": pandera.Column(STAMP, nullable=False, unique=True),
            "published_at": pandera.Column(STAMP, nullable=False),
            "funding_rate": pandera.Column(
                pl.Float64, pandera.Check.in_range(-LARGEST_FUNDING_RATE, LARGEST_FUNDING_RATE), nullable=False
            ),
            "interval_hours": pandera.Column(
                pl.Int64, pandera.Check.in_range(1, LONGEST_INTERVAL_HOURS), nullable=False
            ),
            "mark_price": pandera.Column(pl.Float64, positive(), nullable=True),
            "source": pandera.Column(pl.String, pandera.Check.isin(["archive", "rest"]), nullable=False),
        },
        checks=[
            row_wise("sorted", _ascending("settled_at")),
            row_wise("published in the hour that it settled", published.dt.truncate("1h") == settled),
            row_wise(f"at most {FUNDING_RATE_DECIMALS} decimals", (units - units.round()).abs() < _WHOLE),
        ],
        strict=True,
        ordered=True,
    )


def raw_open_interest_model() -> "pandera.DataFrameSchema":
    """`raw_open_interest`; a month without rows is as good as any."""
    import pandera.polars as pandera

    return pandera.DataFrameSchema(
        {
            "measured_at": pandera.Column(STAMP, nullable=False, unique=True),
            "open_interest": pandera.Column(pl.Float64, not_negative(), nullable=False),
            "open_interest_quote": pandera.Column(pl.Float64, not_negative(), nullable=False),
            "source": pandera.Column(pl.String, pandera.Check.isin(["archive", "rest"]), nullable=False),
        },
        checks=[row_wise("sorted", _ascending("measured_at"))],
        strict=True,
        ordered=True,
    )


def bars_model() -> "pandera.DataFrameSchema":
    """`bars_15m`."""
    import pandera.polars as pandera

    price = pandera.Column(pl.Float64, positive(), nullable=False)
    opened, closed = pl.col("opened_at"), pl.col("closed_at")
    return pandera.DataFrameSchema(
        {
            "opened_at": pandera.Column(STAMP, nullable=False, unique=True),
            "closed_at": pandera.Column(STAMP, nullable=False),
            **dict.fromkeys(["open", "high", "low", "close"], price),
            "volume": pandera.Column(pl.Float64, positive(), nullable=False),
            "quote_volume": pandera.Column(pl.Float64, not_negative(), nullable=True),
            "trade_count": pandera.Column(pl.Int64, pandera.Check.ge(0), nullable=True),
            "taker_buy_volume": pandera.Column(pl.Float64, not_negative(), nullable=True),
            "source": pandera.Column(pl.String, pandera.Check.isin(["1m", "15m", "trades"]), nullable=False),
        },
        checks=[
            row_wise("low is lowest", pl.col("low") <= pl.min_horizontal("open", "close")),
            row_wise("high is highest", pl.col("high") >= pl.max_horizontal("open", "close")),
            row_wise("opened on the grid", opened.dt.truncate(BAR_INTERVAL) == opened),
            row_wise("closed one interval later", closed == opened + BAR_INTERVAL),
            row_wise("sorted", _ascending("opened_at")),
        ],
        strict=True,
        ordered=True,
    )


def row_wise(name: str, holds: pl.Expr) -> "pandera.Check":
    """A check of whole rows; null counts as failed."""
    import pandera.polars as pandera

    return pandera.Check(lambda data: data.lazyframe.select(holds.fill_null(value=False)), name=name)


def positive() -> "list[pandera.Check]":
    """Finite and more than 0."""
    import pandera.polars as pandera

    return [pandera.Check.gt(0), pandera.Check.lt(math.inf)]


def not_negative() -> "list[pandera.Check]":
    """Finite and 0 or more."""
    import pandera.polars as pandera

    return [pandera.Check.ge(0), pandera.Check.lt(math.inf)]


def finite() -> "list[pandera.Check]":
    """Neither NaN nor infinite."""
    import pandera.polars as pandera

    return [pandera.Check.gt(-math.inf), pandera.Check.lt(math.inf)]


def _ascending(column: str, *, within: str | None = None) -> pl.Expr:
    step = pl.col(column).diff()
    later = (step if within is None else step.over(within)) > timedelta(0)
    if within is None:
        return later.fill_null(value=True)
    return later.fill_null(value=True) & (pl.col(within) >= pl.col(within).shift()).fill_null(value=True)


def _failed_rows(frame: pl.DataFrame, cases: pl.DataFrame, *, key: str) -> pl.DataFrame:
    """Pandera's failure cases, each with the row it speaks of, earliest first."""
    whole_row = (pl.col("schema_context") == "DataFrameSchema") & pl.col("index").is_not_null()
    told = cases.select(
        pl.col("check").cast(pl.String),
        pl.col("column").cast(pl.String),
        # pandera repeats the whole row here, which stands beside it anyway.
        pl.when(~whole_row).then(pl.col("failure_case").cast(pl.String)).alias("value"),
        pl.col("index").cast(pl.Int64),
    )
    rows = frame.with_row_index("index").with_columns(pl.col("index").cast(pl.Int64))
    # A column that can't be told from ours by name keeps its own with a mark.
    joined = told.join(rows, on="index", how="left", suffix="_of_row", maintain_order="left")
    first = [name for name in (key,) if name in joined.columns]
    return joined.sort("index", nulls_last=False, maintain_order=True).select(*first, pl.exclude("index", *first))

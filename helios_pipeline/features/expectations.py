"""What is expected of a month of features: the pandera schema of their frame, and the Great Expectations suite."""

import math
from typing import TYPE_CHECKING

import polars as pl

from helios_pipeline.core.calendar import BAR_INTERVAL
from helios_pipeline.core.expectations import Expectation, ExpectationSuite
from helios_pipeline.data.models import finite, not_negative, row_wise
from helios_pipeline.data.quarantine import STAMP
from helios_pipeline.features.frame import FUNDING_Z_BOUND, LONGEST_FUNDING_INTERVAL_HOURS

if TYPE_CHECKING:
    import pandera.polars as pandera

FEATURES_SUITE = ExpectationSuite(
    name="funding_features",
    key="opened_at",
    expectations=(
        Expectation(
            kind="expect_column_values_to_be_unique",
            arguments={"column": "opened_at"},
            meaning="no two rows are of one bar",
        ),
        Expectation(
            kind="expect_column_pair_values_a_to_be_greater_than_b",
            arguments={
                "column_A": "closed_at",
                "column_B": "funding_settled_at",
                "ignore_row_if": "either_value_is_missing",
            },
            meaning="the last settlement is older than the bar's close",
        ),
        Expectation(
            kind="expect_column_values_to_be_between",
            arguments={"column": "z_funding", "min_value": -FUNDING_Z_BOUND, "max_value": FUNDING_Z_BOUND},
            meaning=f"the funding score is within ±{FUNDING_Z_BOUND:g}",
        ),
        *(
            Expectation(
                kind="expect_column_values_to_be_between",
                arguments={"column": column, "min_value": 0, "strict_min": True},
                meaning=f"{column} is above zero",
            )
            for column in ("volatility", "atr")
        ),
        Expectation(
            kind="expect_column_values_to_be_between",
            arguments={
                "column": "funding_interval_hours",
                "min_value": 1,
                "max_value": LONGEST_FUNDING_INTERVAL_HOURS,
            },
            meaning=f"funding is settled every {LONGEST_FUNDING_INTERVAL_HOURS} hours or more often",
        ),
    ),
)


def features_model() -> "pandera.DataFrameSchema":
    """The pandera schema of `funding_features`; NaN and null are "no value" as `make_features` says."""
    import pandera.polars as pandera

    opened, closed, score = pl.col("opened_at"), pl.col("closed_at"), pl.col("z_funding")
    settled = pl.col("funding_settled_at")
    number = pandera.Column(pl.Float64, nullable=True)
    return pandera.DataFrameSchema(
        {
            "opened_at": pandera.Column(STAMP, nullable=False, unique=True),
            "closed_at": pandera.Column(STAMP, nullable=False),
            "funding_rate_per_hour": pandera.Column(pl.Float64, finite(), nullable=True),
            "funding_settled_at": pandera.Column(STAMP, nullable=True),
            "funding_interval_hours": pandera.Column(pl.Int64, pandera.Check.gt(0), nullable=True),
            **dict.fromkeys(["z_funding", "volatility", "atr"], number),
            "open_interest": pandera.Column(pl.Float64, not_negative(), nullable=True),
            "open_interest_change_1d": pandera.Column(pl.Float64, pandera.Check.ge(-1), nullable=True),
        },
        checks=[
            row_wise("opened on the grid", opened.dt.truncate(BAR_INTERVAL) == opened),
            row_wise("closed one interval later", closed == opened + BAR_INTERVAL),
            row_wise("sorted", (opened.diff() > pl.duration()).fill_null(value=True)),
            row_wise("settled before the close", settled.is_null() | (settled < closed)),
            row_wise(
                f"z_funding within ±{FUNDING_Z_BOUND:g} or NaN",
                score.is_nan() | score.is_between(-FUNDING_Z_BOUND, FUNDING_Z_BOUND),
            ),
            *(
                row_wise(f"{name} above 0 or NaN", pl.col(name).is_nan() | pl.col(name).is_between(0, math.inf, "none"))
                for name in ("volatility", "atr")
            ),
        ],
        strict=True,
        ordered=True,
    )

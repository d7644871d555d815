"""What is expected of a month of bars, for Great Expectations and those who read its pages."""

from helios_pipeline.core.expectations import Expectation, ExpectationSuite
from helios_pipeline.data.validate import BARS_SCHEMA

BARS_IN_LONGEST_MONTH = 31 * 96

BARS_SUITE = ExpectationSuite(
    name="bars_15m",
    key="opened_at",
    expectations=(
        Expectation(
            kind="expect_table_columns_to_match_ordered_list",
            arguments={"column_list": list(BARS_SCHEMA)},
            meaning="the columns are those of a bar, in their order",
        ),
        Expectation(
            kind="expect_table_row_count_to_be_between",
            arguments={"min_value": 0, "max_value": BARS_IN_LONGEST_MONTH},
            meaning="there are no more bars than a month has quarters of an hour",
        ),
        *(
            Expectation(
                kind="expect_column_values_to_be_between",
                arguments={"column": column, "min_value": 0, "strict_min": True},
                meaning=f"{column} is above zero",
            )
            for column in ("low", "volume")
        ),
        *(
            Expectation(
                kind="expect_column_pair_values_a_to_be_greater_than_b",
                arguments={"column_A": upper, "column_B": lower, "or_equal": True},
                meaning=f"{upper} is not below {lower}",
            )
            for upper, lower in (("high", "open"), ("high", "close"), ("open", "low"), ("close", "low"))
        ),
        Expectation(
            kind="expect_column_pair_values_a_to_be_greater_than_b",
            arguments={
                "column_A": "volume",
                "column_B": "taker_buy_volume",
                "or_equal": True,
                "ignore_row_if": "either_value_is_missing",
            },
            meaning="takers bought no more than was traded",
        ),
        Expectation(
            kind="expect_column_values_to_be_in_set",
            arguments={"column": "source", "value_set": ["1m", "15m", "trades"]},
            meaning="it is known what each bar was made from",
        ),
    ),
)

import math
from datetime import UTC, datetime

import polars as pl
import pytest

from helios_pipeline.promotion.luck import beside_luck, luck_of_folds, luck_sharpe, price_rows
from helios_pipeline.promotion.price import price_search


def test_noise_stands_beside_every_best_sharpe():
    assert beside_luck(3.126, trials=1440, days=457) == f"3.13 (noise would have scored {luck_sharpe(1440, 457):.2f})"


@pytest.mark.parametrize("sharpe", [None, math.nan])
def test_noise_is_said_where_no_set_has_a_sharpe(sharpe):
    assert beside_luck(sharpe, trials=10, days=100) == f"none (noise would have scored {luck_sharpe(10, 100):.2f})"


def test_a_window_of_one_day_has_no_noise():
    assert beside_luck(1.0, trials=10, days=1) == "1.00"


def test_noise_of_a_fold_is_that_of_its_in_sample_days():
    folds = pl.DataFrame(
        {
            "in_sample_first": [datetime(2025, 1, 1, tzinfo=UTC), datetime(2025, 2, 1, tzinfo=UTC)],
            "in_sample_last": [datetime(2025, 5, 1, tzinfo=UTC)] * 2,
        }
    )

    assert luck_of_folds(folds, 1440).to_list() == [luck_sharpe(1440, 120), luck_sharpe(1440, 89)]


def test_a_price_is_a_row_now_and_a_row_after_the_round():
    price = price_search(days=457, trials=1440, more=20_736, threshold=0.95)

    assert price is not None
    assert [row["trials"] for row in price_rows(price)] == [1440, 22_176]
    assert [row["noise_would_score"] for row in price_rows(price)] == [luck_sharpe(n, 457) for n in (1440, 22_176)]
    assert [row["sharpe_required"] for row in price_rows(price)] == list(price.required)

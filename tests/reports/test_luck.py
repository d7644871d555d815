import math

import pytest

from helios_pipeline.reports.luck import beside_luck, luck_sharpe


def test_noise_stands_beside_every_best_sharpe():
    assert beside_luck(3.126, trials=1440, days=457) == f"3.13 (noise would have scored {luck_sharpe(1440, 457):.2f})"


@pytest.mark.parametrize("sharpe", [None, math.nan])
def test_noise_is_said_where_no_set_has_a_sharpe(sharpe):
    assert beside_luck(sharpe, trials=10, days=100) == f"none (noise would have scored {luck_sharpe(10, 100):.2f})"


def test_a_window_of_one_day_has_no_noise():
    assert beside_luck(1.0, trials=10, days=1) == "1.00"

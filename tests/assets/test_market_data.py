"""When a stored month of raw data is final."""

import pytest

from assets.market_data import _is_complete

MONTHLY = "data/futures/um/monthly/klines/BTCUSDT/15m/BTCUSDT-15m-2025-06.zip"
DAYS = [f"data/futures/um/daily/klines/BTCUSDT/1m/BTCUSDT-1m-2025-06-{day:02d}.zip" for day in range(1, 31)]


@pytest.mark.parametrize(
    ("paths", "complete"),
    [
        ([], False),
        ([MONTHLY], True),
        (DAYS, True),
        (DAYS[:-1], False),
        ([MONTHLY, *DAYS], True),
        ([MONTHLY, *DAYS[1:]], False),
    ],
)
def test_a_month_is_complete_with_its_monthly_zip_or_all_of_its_days(paths, complete):
    assert _is_complete(paths, "2025-06") is complete

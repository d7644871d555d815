"""A tick of the daily refresh through the daemon, against a venue whose market goes on up to now."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from helios_pipeline.core.calendar import month_start, next_month
from simulated_venues.binance.settings import BinanceSettings
from simulated_venues.binance.venue import BinanceVenue
from simulated_venues.venue import embedded
from tests.helios_home import BTC, ETH, new_home, small_market
from tests.served_dagster import ENDED, MARKET_DATA, Materialized, month_keys, served

EVERY_MINUTE = "* * * * *"
INSTRUMENTS = [BTC, ETH]


@pytest.fixture(scope="module")
def venue():
    market = small_market(edge=0.0, instruments=INSTRUMENTS)
    with embedded(BinanceVenue(market, BinanceSettings())) as listening:
        yield listening


@pytest.fixture(scope="module")
def dagster(venue, memory_folder):
    settings = {"research.instruments": INSTRUMENTS, "dagster.daily_refresh_cron": EVERY_MINUTE}
    with new_home(memory_folder, **settings) as home:
        home.variables = {"HELIOS_ARCHIVE_URL": venue.url, "HELIOS_REST_URL": venue.url}
        with served(home) as running:
            yield running


@pytest.fixture(scope="module")
def refreshed(dagster):
    """The first run of the schedule, ended, and the month in which it began."""
    (run, *_) = dagster.await_answer(
        lambda: dagster.runs(pipelineName="daily_refresh"), lambda runs: runs and runs[0]["status"] in ENDED
    )
    return run, f"{datetime.fromtimestamp(run['startTime'], UTC):%Y-%m}"


def test_a_tick_launches_one_run_over_all_instruments_that_makes_every_asset_up_to_now(dagster, refreshed):
    run, month = refreshed
    tags = {tag["key"]: tag["value"] for tag in run["tags"]}
    keys = month_keys(INSTRUMENTS, [next_month(month, -1), month])

    assert run["status"] == "SUCCESS"
    assert tags["dagster/schedule_name"] == "daily_refresh"
    assert (tags["dagster/asset_partition_range_start"], tags["dagster/asset_partition_range_end"]) == (
        keys[0],
        keys[-1],
    )
    made = dagster.materialized([run])
    assert sorted(made, key=str) == sorted((Materialized(asset=a, key=k) for a in MARKET_DATA for k in keys), key=str)


def test_the_present_month_holds_the_archive_and_the_tail_up_to_the_run(dagster, refreshed):
    run, month = refreshed
    began = datetime.fromtimestamp(run["startTime"], UTC)

    for instrument in INSTRUMENTS:
        klines, bars = (stored(dagster, asset, instrument, month) for asset in ("raw_klines", "bars_15m"))
        last = bars["closed_at"][-1]

        assert set(klines["source"]) == {"archive", "rest"}
        assert timedelta() <= began - last + timedelta(minutes=1) < timedelta(minutes=17)
        assert bars.height == (last - month_start(month)) // timedelta(minutes=15)


def stored(dagster, asset, instrument, month):
    (path,) = (dagster.home.home / "lake").glob(f"*/{asset}/{instrument}/{month}.parquet")
    return pl.read_parquet(path)

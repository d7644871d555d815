"""A damaged month in Dagster: what refuses it, what it stops, what goes on, and what happens once it is repaired."""

import os
import shutil
from collections import Counter
from pathlib import Path

import dagster as dg
import pytest

from assets.bars import bars_15m
from assets.features import funding_features
from assets.month_runs import REFRESH_TAG
from assets.partitions import INSTRUMENTS, month_key
from assets.reports import data_quality_report
from helios_pipeline.definitions import build_research
from helios_pipeline.settings import load_settings
from jobs.research import ALL_ASSETS, MONTHLY
from tests.damaged_months import conflicting_duplicate, crossed_ohlc, damage, gap_of_a_day, negative_price, wrong_scale
from tests.helios_home import BTC, ETH, SMALL, copy_archive, write_settings, write_simulated_archive

MONTHS = ("2025-01", "2025-02", "2025-03")
BAD = (BTC, "2025-02")
BEFORE, BAD_KEY, AFTER = (str(month_key(BTC, month)) for month in MONTHS)
OTHERS = [str(month_key(ETH, month)) for month in MONTHS]
CASES = {
    "negative price": (negative_price, "bars_15m", "sound_prices", {"reason": "negative_price"}),
    "crossed OHLC": (crossed_ohlc, "bars_15m", "sound_prices", {"reason": "crossed_ohlc"}),
    "conflicting duplicate": (conflicting_duplicate, "raw_klines", "sound_rows", {"reason": "conflicting_rows"}),
    "gap of a day": (gap_of_a_day, "bars_15m", "complete", {"bars": 96, "first": "2025-02-10T12:00:00+00:00"}),
    "wrong scale": (wrong_scale, "bars_15m", "same_scale", {"reason": "scale_jump"}),
}
"""Damage → how it is done, the asset and check that find it, and something that each failing row says."""

MARKET_DATA = [asset for asset, _ in MONTHLY.values()]
RAW = {"raw_klines", "raw_funding_rates", "raw_open_interest"}
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@pytest.fixture(scope="session")
def sound_archive(tmp_path_factory):
    root = tmp_path_factory.mktemp("sound")
    real = os.environ.get("HELIOS_REAL_DATA")
    if not real:
        write_simulated_archive(root, edge=0.0, months=(MONTHS[0], MONTHS[-1]), instruments=[BTC, ETH])
        return root
    for instrument in (BTC, ETH):
        copy_archive(Path(real) / "binance_vision", root, MONTHS, instrument)
    return root


@pytest.fixture
def archive(sound_archive, tmp_path):
    return Path(shutil.copytree(sound_archive, tmp_path / "archive"))


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as made:
        made.add_dynamic_partitions(str(INSTRUMENTS.name), [BTC, ETH])
        yield made


@pytest.fixture
def run(tmp_path, archive, instance, database):
    """Makes the market data of a range of months in one run."""
    write_settings(tmp_path / "helios.toml", SMALL | {"data.archive_url": archive.as_uri()})
    settings = load_settings(tmp_path / "helios.toml", {})

    def run(first, last, assets=MARKET_DATA):
        tags = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
        return dg.materialize(
            ALL_ASSETS,
            selection=list(assets),
            instance=instance,
            resources={"research": build_research(settings, database_url=database.urls.pipeline)},
            tags=tags | {REFRESH_TAG: "true"},
            run_config=QUIET,
            raise_on_error=False,
        )

    return run


def made(result):
    """(asset, key) → how often it was materialized."""
    events = result.get_asset_materialization_events()
    return Counter((event.asset_key.to_user_string(), event.partition) for event in events)


def once(assets, *keys):
    return Counter({(asset, key): 1 for asset in assets for key in keys})


def failed_checks(result):
    return {
        (each.asset_key.to_user_string(), each.check_name): each
        for each in result.get_asset_check_evaluations()
        if not each.passed
    }


def stored_bytes(folder, instrument, month):
    """Content of every file of a month that can be used."""
    lake = folder / "home" / "lake"
    return {
        path.relative_to(lake): path.read_bytes()
        for path in lake.glob(f"*/*/{instrument}/{month}.*")
        if path.parts[-3] in MONTHLY
    }


@pytest.mark.parametrize(("change", "asset", "check", "row"), CASES.values(), ids=CASES)
def test_a_damaged_month_is_refused_with_its_rows_and_stops_only_what_is_made_from_it(
    run, archive, sound_archive, tmp_path, change, asset, check, row
):
    assert run(BEFORE, BAD_KEY).success
    old = stored_bytes(tmp_path, *BAD)
    repair = damage(archive, *BAD, change)
    took_the_damage = {"raw_klines"} - {asset}

    refused = run(BEFORE, OTHERS[-1])
    evaluation = failed_checks(refused)[asset, check]
    rows = [record.data for record in evaluation.metadata["failures"].value.records]
    now = stored_bytes(tmp_path, *BAD)

    assert not refused.success
    assert evaluation.severity is dg.AssetCheckSeverity.ERROR
    assert rows
    assert [each for each in rows if not each.items() >= ({"instrument": BAD[0], "month": BAD[1]} | row).items()] == []
    # Bars of the month after begin at the level at which these klines end; features look back further.
    goes_on = {*RAW, "bars_15m"} if took_the_damage else RAW
    assert made(refused) == once(MONTHLY, *OTHERS) + once(took_the_damage, BAD_KEY) + once(goes_on, AFTER)
    assert {path.parts[1] for path in old if now[path] != old[path]} == took_the_damage

    repair()
    repaired = run(BEFORE, OTHERS[-1])

    assert repaired.success
    assert failed_checks(repaired) == {}
    assert made(repaired) == once(took_the_damage, BAD_KEY) + once(["bars_15m", "funding_features"], AFTER)
    assert stored_bytes(tmp_path, *BAD) == old


def why_it_failed(result):
    """What the run says at its end."""
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    return failure.event_specific_data.error.message


@pytest.mark.parametrize("last", [bars_15m, funding_features], ids=lambda asset: asset.key.path[-1])
def test_a_run_that_left_a_month_out_fails_and_says_why_whatever_else_it_makes(run, archive, last):
    damage(archive, *BAD, crossed_ohlc)
    upstream = [asset for asset in MARKET_DATA if asset not in (bars_15m, funding_features)]

    refused = run(BAD_KEY, BAD_KEY, [*upstream, *{bars_15m, last}, data_quality_report])

    assert not refused.success
    assert f"bars_15m of {BAD[0]} {BAD[1]}: refused by sound_prices: " in why_it_failed(refused)
    assert "[[checks.accepted]]" in why_it_failed(refused)

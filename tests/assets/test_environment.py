"""A run that Dagster starts by itself: settings and database come from the environment."""

import os
from pathlib import Path

import dagster as dg
import pytest

from assets.partitions import INSTRUMENTS, month_key
from helios_pipeline.definitions import defs
from tests.helios_home import BTC, SMALL, copy_archive, write_settings, write_simulated_archive

MONTH = "2025-02"


@pytest.fixture(scope="session")
def february(tmp_path_factory):
    root = tmp_path_factory.mktemp("february")
    real = os.environ.get("HELIOS_REAL_DATA")
    if real:
        return copy_archive(Path(real) / "binance_vision", root, [MONTH])
    write_simulated_archive(root, edge=0.0, months=(MONTH, MONTH))
    return root


@pytest.fixture
def run_job(tmp_path, monkeypatch, february):
    write_settings(tmp_path / "helios.toml", SMALL | {"data.archive_url": february.as_uri()})
    monkeypatch.setenv("HELIOS_CONFIG", str(tmp_path / "helios.toml"))
    for name in ("HELIOS_HOME", "HELIOS_ARCHIVE_URL", "HELIOS_PIPELINE_DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)

    def run(instance):
        instance.add_dynamic_partitions(str(INSTRUMENTS.name), [BTC])
        job = defs.resolve_job_def("daily_refresh")
        return job.execute_in_process(instance=instance, partition_key=month_key(BTC, MONTH))

    return run


def test_the_refresh_of_one_month_makes_and_records_every_asset_of_it(run_job, tmp_path, monkeypatch, database_url):
    monkeypatch.setenv("HELIOS_PIPELINE_DATABASE_URL", database_url)

    with dg.DagsterInstance.ephemeral() as instance:
        result = run_job(instance)
        recorded = {
            asset: instance.get_materialized_partitions(dg.AssetKey(asset))
            for asset in ("raw_klines", "raw_funding_rates", "raw_open_interest", "bars_15m", "funding_features")
        }

    assert result.success
    assert set(map(frozenset, recorded.values())) == {frozenset({str(month_key(BTC, MONTH))})}
    assert len(list((tmp_path / "home" / "lake").rglob(f"{MONTH}.parquet"))) >= len(recorded)
    (event,) = [e for e in result.get_asset_materialization_events() if e.asset_key == dg.AssetKey("bars_15m")]
    assert event.materialization.metadata["dagster/row_count"].value == 28 * 96


def test_without_a_database_a_run_says_how_to_start_dagster(run_job, tmp_path):
    with dg.DagsterInstance.ephemeral() as instance, pytest.raises(dg.Failure, match="helios dagster"):
        run_job(instance)

    assert list(tmp_path.rglob("*.parquet")) == []

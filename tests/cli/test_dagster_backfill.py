"""Backfills through interface and daemon: what is made, what a killed worker costs, what a bad month stops."""

import os
import signal
from collections import Counter
from itertools import combinations
from time import time

import psycopg
import pytest
import yaml
from psycopg.rows import dict_row

from helios_pipeline.adapters.postgres.connection import open_database
from tests.damaged_months import damage, negative_price
from tests.helios_home import BTC, ETH, SOL
from tests.served_dagster import MARKET_DATA, Materialized, month_keys

FIRST_QUARTER = ("2025-01", "2025-02", "2025-03")
LAST_QUARTER = ("2024-10", "2024-11", "2024-12")
SLOT_FREE_WITHIN_SECONDS = 60.0
"""The monitor looks every 15 s, and gives the place of a dead run to the next within as much again."""

INSTANCE = """
{ instance { info runQueueConfig { maxConcurrentRuns } poolConfig { poolGranularity }
  concurrencyLimit(concurrencyKey: "venue") { limit } } }
"""


def once(keys, assets=MARKET_DATA):
    return Counter(Materialized(asset=asset, key=key) for asset in assets for key in keys)


def tags_of(run):
    return {tag["key"]: tag["value"] for tag in run["tags"]}


@pytest.fixture(scope="module")
def backfilled(dagster):
    """Keys of two instruments over a quarter, and the runs that made them."""
    keys = month_keys([BTC, ETH], FIRST_QUARTER)
    return keys, dagster.await_backfill(dagster.backfill(MARKET_DATA, keys), runs=2)


def test_a_backfill_is_one_run_per_instrument_that_records_every_month_of_every_asset_once(dagster, backfilled):
    keys, runs = backfilled

    assert [run["status"] for run in runs] == ["SUCCESS"] * 2
    assert Counter(dagster.materialized(runs)) == once(keys)
    ranges = {
        (t["dagster/asset_partition_range_start"], t["dagster/asset_partition_range_end"]) for t in map(tags_of, runs)
    }
    assert ranges == {(keys[0], keys[2]), (keys[3], keys[5])}


def test_runs_that_ask_the_venue_at_once_take_turns(backfilled):
    _, runs = backfilled

    for one, other in combinations(sorted(runs, key=lambda run: run["startTime"]), 2):
        assert one["endTime"] <= other["startTime"]


def test_a_run_over_the_same_months_makes_nothing(dagster, backfilled):
    keys, _ = backfilled
    before = dagster.home.stored()

    again = dagster.await_run(dagster.refresh(keys[0], keys[-1]))

    assert again["status"] == "SUCCESS"
    assert dagster.materialized([again]) == []
    assert dagster.home.stored() == before


def test_the_round_that_can_be_run_now_appears_by_itself(dagster, backfilled):
    (name,) = dagster.await_answer(lambda: dagster.partition_keys("sweep_results"), bool)

    assert name.startswith("2025-01_2025-03_")


def test_what_helios_toml_says_of_dagster_is_in_force(dagster):
    said = dagster.ask(INSTANCE)["instance"]
    info = yaml.safe_load(said["info"])

    assert said["runQueueConfig"]["maxConcurrentRuns"] == 2
    assert (said["poolConfig"]["poolGranularity"], said["concurrencyLimit"]["limit"]) == ("run", 1)
    assert info["run_retries"] == {"enabled": True, "max_retries": 2, "retry_on_asset_or_op_failure": False}
    assert info["run_monitoring"]["max_runtime_seconds"] == 240 * 60
    assert info["run_monitoring"]["enabled"] is True
    assert info["retention"]["sensor"]["purge_after_days"]["skipped"] == 3
    assert info["telemetry"]["enabled"] is False


def test_a_killed_worker_is_followed_by_a_run_that_makes_only_the_rest_and_the_next_waits_no_longer(dagster):
    keys = month_keys([BTC, ETH], LAST_QUARTER)
    backfill = dagster.backfill(MARKET_DATA, keys)
    first = dagster.await_answer(lambda: dagster.runs(tags=of(backfill), statuses=["STARTED"]), bool)[0]
    finished = f"raw_klines/{tags_of(first)['dagster/asset_partition_range_start'].partition('|')[0]}/{LAST_QUARTER[0]}"
    dagster.await_answer(lambda: [name for name in dagster.home.stored() if finished in name], bool)

    os.kill(dagster.worker(first["runId"]), signal.SIGKILL)
    killed_at = time()
    runs = dagster.await_backfill(backfill, runs=3)

    assert Counter(run["status"] for run in runs) == {"SUCCESS": 2, "FAILURE": 1}
    assert {run["parentRunId"] for run in runs} == {None, first["runId"]}
    recorded = Counter(dagster.materialized(runs))
    assert set(recorded) == set(once(keys))
    # Dagster writes an event and its tags apart: the one that the kill cut between the two is recorded again, whole.
    assert recorded - once(keys) in (Counter(), Counter(dagster.materialized([first])[-1:]))
    assert dagster.materialized([first])
    waiting = [run for run in runs if run["runId"] != first["runId"]]
    assert min(run["startTime"] for run in waiting) - killed_at < SLOT_FREE_WITHIN_SECONDS


def of(backfill):
    return [{"key": "dagster/backfill", "value": backfill}]


def test_an_instrument_added_to_the_settings_can_be_chosen_a_moment_later(with_sol):
    assert set(with_sol) == {BTC, ETH, SOL}


@pytest.fixture(scope="module")
def refused(dagster, with_sol, served_archive):
    """A run over SOL's quarter, whose second month has a negative price."""
    repair = damage(served_archive, SOL, FIRST_QUARTER[1], negative_price)
    january, _, march = month_keys([SOL], FIRST_QUARTER)
    return dagster.await_run(dagster.refresh(january, march)) | {"repair": repair}


def test_a_bad_month_fails_its_run_and_shows_its_rows_in_the_check(dagster, refused):
    check = dagster.check("bars_15m", "sound_prices")
    (table,) = [entry["table"] for entry in check["evaluation"]["metadataEntries"] if entry["label"] == "failures"]

    assert refused["status"] == "FAILURE"
    assert (check["runId"], check["status"], check["evaluation"]["severity"]) == (
        refused["runId"],
        "FAILED",
        "ERROR",
    )
    assert table["records"]
    assert all(f'"{FIRST_QUARTER[1]}"' in row and "negative_price" in row for row in table["records"])


def test_a_bad_month_stops_itself_and_the_features_that_look_back_at_it(dagster, refused):
    january, february, march = month_keys([SOL], FIRST_QUARTER)
    raw = ["raw_klines", "raw_funding_rates", "raw_open_interest"]

    made = Counter(dagster.materialized([refused]))

    expected = once([january]) + once([february], raw) + once([march], [*raw, "bars_15m"])
    assert made == expected
    stored = [name for name in dagster.home.stored() if SOL in name]
    assert [name for name in stored if f"bars_15m/{SOL}/{FIRST_QUARTER[1]}" in name and "refused" not in name] == []


def test_a_failed_check_is_kept_for_review_with_its_rows(dagster, refused):
    with open_database(dagster.home.home, None) as database:

        def requests():
            with psycopg.connect(database.urls.pipeline, row_factory=dict_row) as connection:
                return connection.execute(
                    "select * from review_requests where run_id = %s and trigger = 'check_failed'", (refused["runId"],)
                ).fetchall()

        found = dagster.await_answer(
            requests, lambda rows: {"sound_prices"} <= {row["evidence"]["check"] for row in rows}
        )

    (row,) = [row for row in found if row["evidence"]["check"] == "sound_prices"]
    assert (row["subject"], row["state"]) == ("bars_15m", "not_reviewed")
    assert row["evidence"]["metadata"]["failures"][0]["reason"] == "negative_price"


def test_once_the_archive_is_repaired_the_same_run_makes_what_is_missing_and_the_check_passes(dagster, refused):
    january, february, march = month_keys([SOL], FIRST_QUARTER)
    refused["repair"]()

    run = dagster.await_run(dagster.refresh(january, march, helios__refresh="true"))

    assert run["status"] == "SUCCESS"
    made_from_klines = ["bars_15m", "funding_features"]
    assert Counter(dagster.materialized([run])) == once([february], ["raw_klines"]) + once(
        [february, march], made_from_klines
    )
    assert dagster.check("bars_15m", "sound_prices")["status"] == "SUCCEEDED"

"""A round that is killed goes on where it was, and ends with what an undisturbed one stores."""

import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime

import polars as pl
import psycopg
import pytest
from distributed import LocalCluster

import assets.round_run
from assets.pace import Pace
from assets.round_run import chunks_of, run_round
from assets.rounds import plan_round
from assets.sweep import load_round, store_round, sweep_version
from helios_pipeline.core.calendar import BAR_INTERVAL
from helios_pipeline.definitions import build_research, workers_of
from helios_pipeline.features.frame import make_features
from helios_pipeline.settings import load_settings
from tests.generated_market import BTC, make_bars, make_funding
from tests.helios_home import ROOT, SMALL, write_settings

DAYS = 31 + 29 + 31
MONTHS = ("2024-01", "2024-02", "2024-03")
CHUNK, SETS = 4, 16
TABLES = ("ledger_entries", "sweep_rounds")


@pytest.fixture
def settings_file(tmp_path):
    """Settings of a home whose lake holds three months of one instrument."""
    (tmp_path / "archive").mkdir()
    changes = {
        "data.archive_url": (tmp_path / "archive").as_uri(),
        "research.from": MONTHS[0],
        "research.to": MONTHS[-1],
        "research.workers": 1,
    }
    write_settings(tmp_path / "helios.toml", SMALL | changes)
    research = build_research(load_settings(tmp_path / "helios.toml", {}), database_url=None)
    bars, funding = make_bars(seed=1, days=DAYS), make_funding(seed=1, days=DAYS)
    contracts = pl.DataFrame(schema={"measured_at": pl.Datetime("us", "UTC"), "open_interest": pl.Float64})
    made = make_features(
        bars, funding, contracts, research.settings.feature_settings, instrument_id=BTC, interval=BAR_INTERVAL
    )
    facts = {"covers_until": datetime(2024, 4, 1, tzinfo=UTC).isoformat()}
    for asset, frame, stamp in (
        ("raw_klines", bars, "opened_at"),
        ("bars_15m", bars, "opened_at"),
        ("funding_features", made, "opened_at"),
        ("raw_funding_rates", funding, "settled_at"),
    ):
        for month in MONTHS:
            inside = frame.filter(pl.col(stamp).dt.strftime("%Y-%m") == month)
            research.lake.replace(asset, inside, instrument=BTC, month=month, version="1", facts=facts)
    return tmp_path / "helios.toml"


@pytest.fixture
def research(settings_file, database_url, monkeypatch):
    monkeypatch.setattr(assets.round_run, "CHUNK_SIZE", CHUNK)
    return build_research(load_settings(settings_file, {}), database_url=database_url)


def stored(research, database):
    """The bytes in the lake, and the rows in the database without the times at which they were written."""
    plan = plan_round(research)
    path = research.lake.root / "sweep_results" / f"{plan.name}.parquet"
    rows = []
    with psycopg.connect(database.urls.owner) as connection:
        for table in TABLES:
            kept = f"select (to_jsonb(t) - 'recorded_at' - 'created_at')::text from {table} t order by 1"
            rows.append(connection.execute(kept.encode()).fetchall())
    return path.read_bytes(), rows


def forget(research, database):
    """Remove what a round stored."""
    research.lake.remove_all("sweep_results")
    with psycopg.connect(database.urls.owner, autocommit=True) as connection:
        for table in TABLES:
            connection.execute(f"delete from {table}".encode())


def run_and_store(research, heard):
    plan = plan_round(research)
    version = sweep_version(research, plan)
    result = run_round(research, plan, version, lambda done, total: heard.append((done, total)))
    store_round(research, plan, result, version)


def test_a_round_killed_again_and_again_ends_with_the_same_bytes_and_repeats_no_finished_chunk(
    research, settings_file, database
):
    heard = []
    run_and_store(research, heard)
    undisturbed = stored(research, database)
    forget(research, database)
    command = [sys.executable, "-m", "tests.assets.round_process", str(settings_file), database.urls.pipeline]

    begins = []
    for kill_after in (2, 2, None):
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
            lines = [process.stdout.readline() for _ in range(1 + kill_after)] if kill_after else []
            if kill_after:
                process.kill()
            lines += process.stdout.readlines()
        begins.append(int(lines[0].split()[0]))

    assert [process.returncode, *heard[0]] == [0, 0, SETS]
    # Whoever is told of a chunk may be killed before it is stored; the chunk before it is.
    assert begins[0] == 0
    assert begins[1] >= CHUNK
    assert begins[2] >= begins[1] + CHUNK
    assert stored(research, database) == undisturbed
    assert not (research.lake.root / "sweep_chunks" / plan_round(research).name).exists()


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_round_on_a_cluster_of_processes_stores_the_same_bytes(research, database):
    run_and_store(research, [])
    here = stored(research, database)
    forget(research, database)

    with LocalCluster(
        n_workers=1, threads_per_worker=1, processes=True, dashboard_address=":0", memory_limit=0
    ) as cluster:
        run_and_store(replace(research, open_workers=workers_of(cluster.scheduler_address)), [])

    assert stored(research, database) == here


def test_a_damaged_chunk_and_one_of_other_market_data_are_evaluated_again(research):
    plan = plan_round(research)
    run_and_stop(research, plan, version="as it is", chunks=2)
    damaged, whole = sorted((research.lake.root / "sweep_chunks" / plan.name).iterdir())
    damaged.write_bytes(damaged.read_bytes()[:-100])

    assert chunks_of(research, plan, "as it is").load(int(damaged.stem)) is None
    assert chunks_of(research, plan, "as it is").load(int(whole.stem)) is not None
    assert chunks_of(research, plan, "as it was").load(int(whole.stem)) is None


def run_and_stop(research, plan, *, version, chunks):
    """Run a round until some chunks are stored."""

    def hear(done, total):
        if done > chunks * CHUNK:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_round(research, plan, version, hear)


def test_a_round_that_goes_on_with_another_database_is_counted_in_that_one(research, database):
    plan = plan_round(research)
    run_and_stop(research, plan, version=sweep_version(research, plan), chunks=3)
    forget(research, database)

    run_and_store(research, [])

    with psycopg.connect(database.urls.pipeline) as connection:
        assert connection.execute("select count(distinct key) from ledger_entries").fetchone() == (SETS,)


def test_a_stored_round_is_loaded_as_it_was_judged(research):
    plan = plan_round(research)
    result = run_round(research, plan, "v", lambda done, total: None)
    store_round(research, plan, result, "v")

    loaded = load_round(research, plan)

    assert loaded.metrics.equals(result.metrics)
    assert loaded.blocks.tobytes() == result.blocks.tobytes()
    assert loaded.best == result.best


def test_pace_tells_rate_and_time_left_of_what_it_heard_and_nothing_of_what_was_done_before():
    said = []
    pace = Pace(said.append, "sets")

    for done in (500, 750, 1000):
        pace(done, 1000)

    assert len(said) == 1
    assert said[0].startswith("1,000 of 1,000 sets, ")
    assert said[0].endswith(" sets/s")

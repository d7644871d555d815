"""What a round may read: its window and what lies before it, never the holdout."""

from dataclasses import asdict
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from assets.rounds import load_inputs, plan_named_round, plan_round
from helios_pipeline.core.calendar import BAR_INTERVAL
from helios_pipeline.core.errors import SettingsError
from helios_pipeline.definitions import build_research
from helios_pipeline.features.frame import make_features
from helios_pipeline.settings import load_settings
from tests.generated_market import BTC, make_bars, make_funding
from tests.helios_home import SMALL, write_settings

MONTHS = ("2024-01", "2024-02", "2024-03")
DAYS = 31 + 29 + 31


@pytest.fixture
def make_research(tmp_path):
    """A home whose lake holds three months of one instrument; `ends` says where its klines end."""

    def make(*, ends=datetime(2024, 4, 1, tzinfo=UTC), holdout_days=40, **more):
        (tmp_path / "archive").mkdir(exist_ok=True)
        changes = {
            "data.archive_url": (tmp_path / "archive").as_uri(),
            "research.from": MONTHS[0],
            "research.to": MONTHS[-1],
            "holdout.days": holdout_days,
            **{name.replace("__", "."): value for name, value in more.items()},
        }
        write_settings(tmp_path / "helios.toml", SMALL | changes)
        research = build_research(load_settings(tmp_path / "helios.toml", {}), database_url=None)
        store(research, "raw_klines", pl.DataFrame(), MONTHS[-1], covers_until=ends.isoformat())
        return research

    return make


def store(research, asset, frame, month, **facts):
    research.lake.replace(asset, frame, instrument=BTC, month=month, version="1", facts=facts)


def store_market(research, bars, funding):
    no_open_interest = pl.DataFrame(schema={"measured_at": pl.Datetime("us", "UTC"), "open_interest": pl.Float64})
    made = make_features(
        bars, funding, no_open_interest, research.settings.feature_settings, instrument_id=BTC, interval=BAR_INTERVAL
    )
    for asset, frame in (("bars_15m", bars), ("funding_features", made), ("raw_funding_rates", funding)):
        stamp = pl.col("settled_at" if asset == "raw_funding_rates" else "opened_at")
        for month in MONTHS:
            store(research, asset, frame.filter(stamp.dt.strftime("%Y-%m") == month), month)


def test_changing_every_bar_and_rate_of_the_holdout_changes_nothing_that_a_round_reads(make_research):
    research = make_research()
    plan = plan_round(research)
    bars, funding = make_bars(seed=1, days=DAYS), make_funding(seed=1, days=DAYS)
    store_market(research, bars, funding)
    before = load_inputs(research, plan, plan.window)

    held = pl.col("opened_at") >= plan.holdout.first
    prices = [pl.when(held).then(pl.col(name) * 2).otherwise(pl.col(name)).alias(name) for name in bars.columns[1:]]
    known = pl.col("settled_at") <= plan.holdout.first  # settled on what was held before
    rates = pl.when(known).then(pl.col("funding_rate")).otherwise(-pl.col("funding_rate")).alias("funding_rate")
    store_market(research, bars.with_columns(prices), funding.with_columns(rates))
    after = load_inputs(research, plan, plan.window)
    looked = load_inputs(research, plan, plan.holdout)

    assert len(before.opened_at) == (plan.window.last - plan.window.first) // timedelta(minutes=15)
    for name in ("opened_at", "opens", "slots", "settlements"):
        assert getattr(before, name).tobytes() == getattr(after, name).tobytes(), name
    np.testing.assert_array_equal(before.z_funding, after.z_funding)
    assert looked.opens[-2, 0] == 2 * np.rint(bars["open"][-1] * 10)


def test_a_round_does_not_need_the_months_of_the_holdout(make_research):
    research = make_research()
    plan = plan_round(research)
    store_market(research, make_bars(seed=1, days=DAYS), make_funding(seed=1, days=DAYS))
    for asset in ("bars_15m", "funding_features", "raw_funding_rates"):
        (research.lake.root / asset / BTC / "2024-03.parquet").unlink()

    inputs = load_inputs(research, plan, plan.window)

    assert plan.window.last == datetime(2024, 2, 21, tzinfo=UTC)
    assert int(inputs.opened_at[-1]) // 1000 == int(plan.window.last.timestamp()) - 900


def test_the_holdout_begins_where_the_search_ends_and_is_whole_days(make_research):
    plan = plan_round(make_research(ends=datetime(2024, 3, 20, 13, 45, tzinfo=UTC), holdout_days=30))

    assert plan.window.last == plan.holdout.first == datetime(2024, 2, 19, tzinfo=UTC)
    assert plan.holdout.last == datetime(2024, 3, 20, tzinfo=UTC)


def test_more_bars_of_the_same_day_make_no_other_holdout(make_research):
    morning = plan_round(make_research(ends=datetime(2024, 3, 20, 8, 15, tzinfo=UTC)))
    evening = plan_round(make_research(ends=datetime(2024, 3, 20, 22, 0, tzinfo=UTC)))

    assert (evening.name, evening.holdout) == (morning.name, morning.holdout)


@pytest.mark.parametrize("search", [{}, {"search__sampler": "sobol", "search__sets": 50, "search__seed": 3}])
def test_a_stored_round_of_another_grid_and_search_is_planned_by_its_name(make_research, search):
    of_a_file = make_research(grid__entry_z=[1.25, 2.75], **search)
    plan = plan_round(of_a_file)
    facts = {"grid": plan.grid.as_values(), "search": asdict(plan.search)}
    of_a_file.lake.replace_named("sweep_results", plan.name, pl.DataFrame(), version="1", facts=facts)

    found = plan_named_round(make_research(), plan.name)

    assert found == plan
    with pytest.raises(SettingsError, match=f"round {plan.name}: expected .* `helios research --grid FILE`"):
        plan_named_round(make_research(costs__fee_fraction=0.0007), plan.name)

"""A round of one instrument over three months, put straight into the lake of a home: no archive and no database."""

from datetime import UTC, datetime

import polars as pl

from assets.rounds import load_inputs, plan_round
from assets.sweep import sweep_version
from assets.sweep_chunks import block_column
from helios_pipeline.core.calendar import BAR_INTERVAL
from helios_pipeline.definitions import build_research
from helios_pipeline.features.frame import make_features
from helios_pipeline.settings import load_settings
from helios_pipeline.sweep.narrowing import propose_next_grid
from helios_pipeline.sweep.rounds import judge_round
from helios_pipeline.sweep.run import Workers, run_sweep
from tests.generated_market import BTC, make_bars, make_funding
from tests.helios_home import SMALL, write_settings

MONTHS = ("2024-01", "2024-02", "2024-03")
DAYS = 31 + 29 + 31
HERE = Workers(executor=None, chunk_size=64, progress=lambda done, total: None)
CHANGES = {
    "research.from": MONTHS[0],
    "research.to": MONTHS[-1],
    "research.workers": 1,
    "bias.sets": 2,
    "bias.cuts": 2,
    "bias.shuffles": 1,
    "bias.late_bars": [1],
    "bias.cost_factors": [1.0, 40.0],
}


def make_research(folder, **changes):
    """A home whose lake holds three months of one instrument."""
    (folder / "archive").mkdir()
    given = {"data.archive_url": (folder / "archive").as_uri()}
    write_settings(folder / "helios.toml", SMALL | CHANGES | given | changes)
    research = build_research(load_settings(folder / "helios.toml", {}), database_url=None)
    bars, funding = make_bars(seed=1, days=DAYS), make_funding(seed=1, days=DAYS)
    nothing = pl.DataFrame(schema={"measured_at": pl.Datetime("us", "UTC"), "open_interest": pl.Float64})
    made = make_features(
        bars, funding, nothing, research.settings.feature_settings, instrument_id=BTC, interval=BAR_INTERVAL
    )
    store(research, "raw_klines", pl.DataFrame(), MONTHS[-1], covers_until=datetime(2024, 4, 1, tzinfo=UTC).isoformat())
    for asset, frame in (("bars_15m", bars), ("funding_features", made), ("raw_funding_rates", funding)):
        stamp = pl.col("settled_at" if asset == "raw_funding_rates" else "opened_at")
        for month in MONTHS:
            store(research, asset, frame.filter(stamp.dt.strftime("%Y-%m") == month), month)
    return research


def store(research, asset, frame, month, **facts):
    research.lake.replace(asset, frame, instrument=BTC, month=month, version="1", facts=facts)


def sweep_round(research):
    """Make the round as the asset does, without a database."""
    plan = plan_round(research)
    inputs = load_inputs(research, plan, plan.window)
    found = run_sweep(inputs, plan.grid, start=inputs.first_slot, stop=len(inputs.opened_at), workers=HERE)
    result = judge_round(plan.name, found, grid=plan.grid, window=plan.window, constraints=plan.constraints)
    frame = result.metrics.with_columns(block_column(result.blocks))
    proposal = propose_next_grid(result, purge_bars=research.settings.walk_forward.purge_bars)
    facts = {**result.summary(), "next_round": proposal.summary(), "best_row": result.best}
    research.lake.replace_named("sweep_results", plan.name, frame, version=sweep_version(research, plan), facts=facts)
    return result

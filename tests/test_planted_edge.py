"""The gates on simulated markets: the shipped one passes them all, those without an edge pass none."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from helios_pipeline.cli.simulated import simulated_market
from helios_pipeline.core.calendar import BAR_INTERVAL, month_start, next_month
from helios_pipeline.core.records import Window
from helios_pipeline.core.selection import AgreementSummary, Constraints, Gates, HoldoutRules
from helios_pipeline.data.bars import make_bars
from helios_pipeline.features.frame import make_features
from helios_pipeline.metrics.pbo import pbo
from helios_pipeline.promotion.decision import Decision, decide_promotion
from helios_pipeline.promotion.evidence import gather_evidence
from helios_pipeline.promotion.holdout import judge_holdout
from helios_pipeline.settings import Settings, load_settings
from helios_pipeline.simulation.inputs import SimulationInputs, build_inputs
from helios_pipeline.simulation.kernel import simulate
from helios_pipeline.sweep.grid import Grid
from helios_pipeline.sweep.rounds import judge_round
from helios_pipeline.sweep.run import Workers, run_sweep
from helios_pipeline.sweep.search import Search
from helios_pipeline.walk_forward.folds import FoldLengths
from helios_pipeline.walk_forward.run import plan_folds, run_walk_forward
from simulated_venues.frames import funding_frame, klines_frame, open_interest_frame

SHIPPED = Path(__file__).resolve().parents[1] / "helios.toml"
ALONE = Workers(executor=None, chunk_size=1_000, progress=lambda done, total: None)
# What the second engine says is tested apart; here statistics alone have to refuse.
AGREED = AgreementSummary(sets=1, fills=1, differences=0, first_difference=None)


def shipped(**market) -> Settings:
    return load_settings(SHIPPED, {}, {("simulated_market", name): value for name, value in market.items()})


def market_inputs(settings: Settings) -> tuple[SimulationInputs, Window]:
    market, section = simulated_market(settings), settings.simulated_market
    window = Window(first=month_start(section.first_month), last=month_start(next_month(section.last_month)))
    bars, features, funding = {}, {}, {}
    for name in settings.research.instruments:
        klines = klines_frame(market, name, window.first, window.last, raw_bars=15)
        bars[name] = make_bars(klines, first=window.first, last=window.last).bars
        funding[name] = funding_frame(market, name, window.first, window.last)
        nothing = open_interest_frame(market, name, window.first, window.first)
        features[name] = make_features(
            bars[name], funding[name], nothing, settings.feature_settings, instrument_id=name, interval=BAR_INTERVAL
        )
    inputs = build_inputs(
        settings.instrument_records,
        bars,
        features,
        funding,
        costs=settings.costs.record(),
        limits=settings.limits.record(),
        feature_settings=settings.feature_settings,
        initial_equity_quote=settings.research.initial_equity_quote,
        window=window,
    )
    return inputs, window


def decide(settings: Settings) -> Decision:
    inputs, window = market_inputs(settings)
    held = Window(first=window.last - timedelta(days=settings.holdout.days), last=window.last)
    start, stop = inputs.slot_of(window.first), inputs.slot_of(held.first)
    grid, constraints = Grid(**settings.grid.model_dump()), Constraints(**settings.constraints.model_dump())
    sweep = run_sweep(inputs, grid, start=start, stop=stop, workers=ALONE)
    searched = Window(first=window.first, last=held.first)
    result = judge_round("round-1", sweep, grid=grid, window=searched, constraints=constraints)
    lengths = FoldLengths(**settings.walk_forward.model_dump())
    folds = plan_folds(inputs, grid, lengths, start=start, stop=stop)
    every_point = Search(sampler="grid", sets=grid.size, seed=0)
    walk_forward = run_walk_forward(inputs, grid, every_point, folds=folds, constraints=constraints, workers=ALONE)
    traded = result.blocks[(result.metrics["round_trips"] >= constraints.min_round_trips).to_numpy()]
    evidence = gather_evidence(
        result, trials=grid.size, pbo=pbo(traded), walk_forward=walk_forward.summary, agreement=AGREED
    )

    def look():
        returns = simulate(inputs, result.candidate, start=stop, stop=inputs.slot_of(window.last)).daily_returns
        rules = HoldoutRules(**settings.holdout.model_dump(exclude={"days"}))
        return judge_holdout(returns, k=1, window=held, rules=rules)

    gates = Gates(**settings.gates.model_dump(exclude={"agreement_sets"}))
    return decide_promotion(evidence, constraints=constraints, gates=gates, look=look)


def test_the_shipped_market_passes_the_unchanged_gates():
    decision = decide(shipped())

    assert decision.promoted, decision.summary


@pytest.mark.parametrize("seed", [1, 2, *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(3, 11))])
def test_without_its_edge_no_market_passes(seed):
    decision = decide(shipped(seed=seed, edge=0.0))

    assert not decision.promoted
    assert {gate.name for gate in decision.failed} & {"deflated_sharpe", "constraints"}, decision.summary


def test_without_its_edge_the_market_is_as_volatile_as_configured():
    settings = shipped(edge=0.0)
    first = datetime(2023, 1, 1, tzinfo=UTC)
    instrument = settings.simulated_market.instruments[0]
    bars = klines_frame(simulated_market(settings), instrument.id, first, first + timedelta(days=365), raw_bars=15)

    daily = bars.group_by_dynamic("opened_at", every="1d").agg(pl.col("close").last())["close"].log().diff()

    assert daily.std() == pytest.approx(instrument.daily_volatility, rel=0.25)

"""Part of `calibration.py`: one simulated market through sweep, walk-forward and every gate, in a worker process."""

import signal
import threading
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from multiprocessing import connection, parent_process
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from planted_edge import MarketFrames, make_frames, make_inputs, year_metrics

from helios_pipeline.core.records import Costs, Window
from helios_pipeline.core.selection import AgreementSummary, Constraints, GateResult, Gates, HoldoutRules
from helios_pipeline.metrics.pbo import pbo
from helios_pipeline.promotion.decision import decide_promotion
from helios_pipeline.promotion.evidence import Evidence, gather_evidence
from helios_pipeline.promotion.holdout import judge_holdout
from helios_pipeline.settings import Settings, load_settings
from helios_pipeline.simulation.inputs import SimulationInputs
from helios_pipeline.simulation.kernel import simulate
from helios_pipeline.sweep.grid import Grid
from helios_pipeline.sweep.rounds import RoundResult, judge_round
from helios_pipeline.sweep.run import Workers, run_sweep
from helios_pipeline.sweep.search import Search
from helios_pipeline.walk_forward.folds import FoldLengths
from helios_pipeline.walk_forward.run import plan_folds, run_walk_forward

INSTRUMENT = "BTCUSDT-PERP.BINANCE"
MAX_HOLDING_BARS = 192
MAX_NOTIONAL = Decimal(2_000_000)
"""Four years at the shipped cap could leave the range of exact money, on a market that rises far."""

SEARCHED = Window(first=datetime.fromisoformat("2023-03-01T00:00Z"), last=datetime.fromisoformat("2026-03-01T00:00Z"))
HOLDOUT_DAYS = (90, 180, 365)
"""Looked at one by one, each as if it were the first look; `helios.toml` says 90."""
PBO_ROUND_TRIPS = 20
NO_COSTS = Costs(
    fee_fraction=Decimal(0), half_spread_bps=Decimal(0), slippage_bps=Decimal(0), stop_slippage_bps=Decimal(0)
)
ALONE = Workers(executor=None, chunk_size=1_000, progress=lambda *_: None)
ASSUMED = AgreementSummary(sets=1, fills=1, differences=0, first_difference=None)
"""The second engine takes longer than all the rest, so it is asked about promotions alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """Markets of one strength, and what trading on them costs.

    Attributes:
        name: a column of the table.
        edge: size of the planted mean reversion, in daily volatilities.
        free: nothing is paid for trading.
    """

    name: str
    edge: float
    free: bool = False

    @property
    def key(self) -> str:
        """What the rows of these markets are kept under."""
        return f"edge {self.edge:g}{', free' if self.free else ''}"


def calibration_settings(config: Path) -> Settings:
    """`helios.toml` with one instrument, one holding time (480 sets), and a cap on positions that none reaches."""
    grid = ("grid", "max_holding_bars"), [MAX_HOLDING_BARS]
    settings = load_settings(config, {}, dict([grid, (("research", "instruments"), [INSTRUMENT])]))
    capped = tuple(each.model_copy(update={"max_notional_quote": MAX_NOTIONAL}) for each in settings.instruments)
    return settings.model_copy(update={"instruments": capped})


def judge_market(settings: Settings, levels: Iterable[Level], seed: int) -> list[dict[str, Any]]:
    """A three-year search on one market, for each level of one edge: verdicts of all gates, as JSON-able rows."""
    levels, last = list(levels), SEARCHED.last + timedelta(days=max(HOLDOUT_DAYS))
    frames = make_frames(settings, seed=seed, edge=levels[0].edge, last=last)
    return [judge(settings, level, _inputs(settings, level, frames, last), seed) for level in levels]


def judge(settings: Settings, level: Level, inputs: SimulationInputs, seed: int) -> dict[str, Any]:
    """What every gate says about one search with a fresh ledger."""
    result, evidence = search(settings, inputs)
    constraints = Constraints(**settings.constraints.model_dump())
    gates = Gates(**settings.gates.model_dump(exclude={"agreement_sets"}))
    looks = {days: _holdout(settings, inputs, result, days) for days in HOLDOUT_DAYS}
    decisions = {
        days: decide_promotion(evidence, constraints=constraints, gates=gates, look=lambda look=look: look)
        for days, look in looks.items()
    }
    judged = next(iter(decisions.values()))
    return {
        "kind": "verdict",
        "level": level.key,
        "seed": seed,
        "best": result.best,
        "candidate": result.candidate is not None,
        "gates": {gate.name: gate.passed for gate in judged.gates if gate.name not in {"agreement", "holdout"}},
        "holdouts": {str(days): look.passed for days, look in looks.items()},
        "promoted": {str(days): decision.promoted for days, decision in decisions.items()},
        "required_sharpe": judged.hurdle.required_sharpe,
        "sharpes": _rounded(result.metrics["sharpe"]),
    }


def search(settings: Settings, inputs: SimulationInputs) -> tuple[RoundResult, Evidence]:
    """The sweep over the searched window, its walk-forward, and the evidence of both."""
    start, stop = inputs.slot_of(SEARCHED.first), inputs.slot_of(SEARCHED.last)
    grid, constraints = Grid.from_values(settings.grid.model_dump()), Constraints(**settings.constraints.model_dump())
    sweep = run_sweep(inputs, grid, start=start, stop=stop, workers=ALONE)
    result = judge_round("calibration", sweep, grid=grid, window=SEARCHED, constraints=constraints)
    folds = plan_folds(inputs, grid, FoldLengths(**settings.walk_forward.model_dump()), start=start, stop=stop)
    every_point = Search(sampler="grid", sets=grid.size, seed=0)
    walk_forward = run_walk_forward(inputs, grid, every_point, folds=folds, constraints=constraints, workers=ALONE)
    traded = result.blocks[(result.metrics["round_trips"] >= PBO_ROUND_TRIPS).to_numpy()]
    evidence = gather_evidence(
        result,
        trials=grid.size,
        pbo=pbo(traded) if len(traded) >= 2 else None,
        walk_forward=walk_forward.summary,
        agreement=ASSUMED,
    )
    return result, evidence


def measure_year(settings: Settings, level: Level, seed: int) -> list[dict[str, Any]]:
    """Sharpe ratio of every set on a year that no search has seen."""
    records = Grid.from_values(settings.grid.model_dump()).records()
    metrics = year_metrics(settings, records, seed=seed, edge=level.edge, costs=_costs(settings, level))
    return [{"kind": "year", "level": level.key, "seed": seed, "sharpes": _rounded(metrics["sharpe"])}]


def compare_engines(settings: Settings, level: Level, seed: int, best: int) -> list[dict[str, Any]]:
    """The promoted set in both engines over the searched window."""
    import warnings

    warnings.filterwarnings("ignore", "The 'generic' unit for NumPy timedelta", DeprecationWarning)
    from helios_pipeline.simulation.nautilus import compare, run_backtest

    frames = make_frames(settings, seed=seed, edge=level.edge, last=SEARCHED.last)
    inputs = _inputs(settings, level, frames, SEARCHED.last)
    parameters = Grid.from_values(settings.grid.model_dump()).points()[best]
    span = {"start": inputs.slot_of(SEARCHED.first), "stop": len(inputs.opened_at)}
    kernel = simulate(inputs, parameters, **span)
    difference = compare(kernel, run_backtest(inputs, parameters, **span))
    agreement = AgreementSummary(
        sets=1, fills=kernel.fills.height, differences=int(difference is not None), first_difference=difference
    )
    return [{"kind": "agreement", "level": level.key, "seed": seed, **asdict(agreement)}]


def start_worker() -> None:
    """In a worker: end with the process that started it, however that one ends."""
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        signal.raise_signal(signal.SIGKILL)


def _inputs(settings: Settings, level: Level, frames: MarketFrames, last: datetime) -> SimulationInputs:
    window = Window(first=SEARCHED.first, last=last)
    return make_inputs(settings, frames, costs=_costs(settings, level), window=window)


def _costs(settings: Settings, level: Level) -> Costs:
    return NO_COSTS if level.free else settings.costs.record()


def _holdout(settings: Settings, inputs: SimulationInputs, result: RoundResult, days: int) -> GateResult:
    """The best set, candidate or not, on the days after the searched window."""
    window = Window(first=SEARCHED.last, last=SEARCHED.last + timedelta(days=days))
    start, stop = inputs.slot_of(window.first), inputs.slot_of(window.last)
    returns = simulate(inputs, result.best_parameters, start=start, stop=stop).daily_returns
    rules = HoldoutRules(**settings.holdout.model_dump(exclude={"days"}))
    return judge_holdout(returns, k=1, window=window, rules=rules)


def _rounded(sharpes: pl.Series) -> list[float]:
    """A set that never trades has no Sharpe ratio, and earns none."""
    return [round(value, 4) for value in np.nan_to_num(sharpes.to_numpy()).tolist()]

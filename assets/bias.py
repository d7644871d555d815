"""Checks of a round for self-deception: they stop nothing, and say what its results rest on."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import dagster as dg

from assets.pictures import picture, rows_table
from assets.research import Research
from assets.rounds import RoundPlan, load_frames, load_inputs, plan_round
from assets.sweep import load_round, sweep_results
from helios_pipeline.bias import look_ahead, shuffled, stress, warm_up
from helios_pipeline.bias.market import Market, make_inputs
from helios_pipeline.bias.verdict import BiasVerdict
from helios_pipeline.core.selection import Constraints
from helios_pipeline.reports.figures import draw_control, draw_reruns, draw_stress
from helios_pipeline.simulation.arrays import Records
from helios_pipeline.simulation.inputs import SimulationInputs
from helios_pipeline.strategy.parameters import ParameterSet
from helios_pipeline.sweep.grid import PARAMETER_NAMES
from helios_pipeline.sweep.points import parameter_sets, records_from
from helios_pipeline.sweep.run import Progress, Workers

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DESCRIPTIONS = {
    look_ahead.NAME: "Sets run on what was known at some instants: no earlier fill, mark or feature is otherwise.",
    warm_up.NAME: "Sets started with no more history than their windows need trade as they do with all of it.",
    stress.COSTS: "The candidate still gains where fees, slippage and funding are higher.",
    stress.DELAY: "The candidate still gains where every order comes a bar late.",
    shuffled.NAME: "The round's sets find nothing in markets made of the same bars in random order.",
}
"""Check → what holds if it passes, in the order in which they run."""

SETS_IN_TASK = 256
"""Of a search in a shuffled market: some tenths of a second of work."""

OF_THE_PIPELINE = (look_ahead.NAME, warm_up.NAME, shuffled.NAME)
"""A failure of these means that no result of the round can be trusted; the others are about the candidate."""


FIGURES: dict[str, "Callable[[BiasVerdict], Figure]"] = {
    look_ahead.NAME: lambda verdict: draw_reruns(verdict.rows, by="known_until", fills="fills_before"),
    warm_up.NAME: lambda verdict: draw_reruns(verdict.rows, by="history_bars", fills="fills"),
    stress.COSTS: lambda verdict: draw_stress(verdict.rows, over="factor"),
    stress.DELAY: lambda verdict: draw_stress(verdict.rows, over="late_bars"),
    shuffled.NAME: lambda verdict: draw_control(verdict.rows),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A round as its checks take it.

    Attributes:
        market: bars and settlements of the round's months.
        remade: inputs made of them now.
        inputs: those the round had, with its stored features.
        records: every set of the round.
        best: the candidate, or the best set if none passed.
        has_candidate: whether one passed.
        constraints: that sets had to meet.
    """

    market: Market
    remade: SimulationInputs
    inputs: SimulationInputs
    records: Records
    best: ParameterSet
    has_candidate: bool
    constraints: Constraints


def load_subject(research: Research, plan: RoundPlan) -> Subject:
    """Load a round that has run, with the market data it read.

    Raises:
        DataError: it has not run.
    """
    result = load_round(research, plan)
    market = Market(
        instruments=plan.context.instruments,
        bars=load_frames(research, plan, "bars_15m", plan.window.last),
        funding=load_frames(research, plan, "raw_funding_rates", plan.window.last),
        costs=plan.context.costs,
        limits=plan.context.limits,
        feature_settings=plan.context.feature_settings,
        initial_equity_quote=research.settings.research.initial_equity_quote,
        window=plan.window,
    )
    return Subject(
        market=market,
        remade=make_inputs(market),
        inputs=load_inputs(research, plan, plan.window),
        records=records_from({name: result.metrics[name] for name in PARAMETER_NAMES}),
        best=result.best_parameters,
        has_candidate=result.candidate is not None,
        constraints=plan.constraints,
    )


def judge_bias(research: Research, subject: Subject, name: str) -> BiasVerdict:
    """Run one of the checks of `DESCRIPTIONS`."""
    settings = research.settings.bias
    if name == look_ahead.NAME:
        instants = look_ahead.cut_instants(subject.market.window, settings.cuts)
        return look_ahead.find_look_ahead(subject.remade, subject.market, _points(subject, settings.sets), instants)
    if name == warm_up.NAME:
        return warm_up.find_history_dependence(subject.remade, subject.market, _points(subject, settings.sets))
    if name == shuffled.NAME:
        return _search_shuffled_markets(research, subject)
    if name == stress.COSTS:
        verdict = stress.stress_costs(
            subject.inputs, subject.best, settings.cost_factors, survived=settings.survived_cost_factor
        )
    else:
        verdict = stress.stress_delay(subject.inputs, subject.best, settings.late_bars)
    if subject.has_candidate:
        return verdict
    said = f"No set passed in sample, so nothing rests on this. Of the best one: {verdict.sentence}"
    return replace(verdict, passed=True, sentence=said)


@dg.multi_asset_check(
    name="bias_checks",
    # Of the round that helios.toml describes: Dagster runs no checks alone that have partitions.
    specs=[dg.AssetCheckSpec(name, asset=sweep_results, description=text) for name, text in DESCRIPTIONS.items()],
    can_subset=True,
)
def bias_checks(
    context: dg.AssetCheckExecutionContext, research: dg.ResourceParam[Research]
) -> Iterator[dg.AssetCheckResult]:
    """What a round's results rest on."""
    plan = plan_round(research)
    wanted = {key.name for key in context.selected_asset_check_keys}
    names = [name for name in DESCRIPTIONS if name in wanted]
    subject = load_subject(research, plan)
    for done, name in enumerate(names):
        research.progress("bias_checks", done, len(names))
        verdict = judge_bias(research, subject, name)
        alt = f"Bias check {name.replace('_', ' ')} of round {plan.name}"
        yield dg.AssetCheckResult(
            check_name=name,
            passed=verdict.passed,
            severity=dg.AssetCheckSeverity.ERROR if name in OF_THE_PIPELINE else dg.AssetCheckSeverity.WARN,
            description=verdict.sentence,
            metadata={
                "round": plan.name,
                "rows": rows_table(verdict.rows),
                "picture": picture(research, f"bias_checks/{plan.name}/{name}", FIGURES[name](verdict), alt),
            },
        )


BIAS_CHECKS: list[dg.AssetChecksDefinition] = [bias_checks]


def _points(subject: Subject, count: int) -> Sequence[ParameterSet]:
    """The best set and others spread over the round."""
    others = parameter_sets(shuffled.spread_records(subject.records, count))
    return [subject.best, *(point for point in others if point != subject.best)][:count]


def _search_shuffled_markets(research: Research, subject: Subject) -> BiasVerdict:
    settings = research.settings
    bar = shuffled.Bar(constraints=subject.constraints, min_deflated_sharpe=settings.gates.min_deflated_sharpe)
    records = shuffled.spread_records(subject.records, settings.bias.shuffled_sets)
    seeds = [settings.bias.seed + at for at in range(settings.bias.shuffles)]
    total, rows = len(records) * (1 + len(seeds)), list[dict[str, object]]()
    with research.open_workers(subject.remade) as pool:
        for seed in (None, *seeds):
            told = _tell_from(research, before=len(rows) * len(records), total=total)
            workers = Workers(executor=pool, chunk_size=SETS_IN_TASK, progress=told)
            inputs = subject.remade if seed is None else make_inputs(shuffled.shuffle_market(subject.market, seed))
            name = shuffled.REAL if seed is None else f"seed {seed}"
            rows.append(shuffled.search(inputs, records, bar, market=name, workers=workers))
    return shuffled.judge_control(rows)


def _tell_from(research: Research, *, before: int, total: int) -> Progress:
    """Progress of one search among several."""
    return lambda done, _total: research.progress(shuffled.NAME, before + done, total)

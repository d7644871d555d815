"""The report of one optimization round: the verdict first, then what it rests on."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import polars as pl

from helios_pipeline.core.past_rounds import PastRound
from helios_pipeline.core.records import Costs, Instrument, Window
from helios_pipeline.core.selection import GateResult
from helios_pipeline.promotion.decision import gate_rows
from helios_pipeline.promotion.hurdle import Hurdle
from helios_pipeline.promotion.luck import beside_luck, luck_of_folds, luck_sharpe, price_rows
from helios_pipeline.promotion.price import SearchPrice
from helios_pipeline.promotion.search_statistics import Statistic
from helios_pipeline.reports.costs import cost_rows, split_costs
from helios_pipeline.reports.figures import (
    draw_choices,
    draw_convergence,
    draw_cost_split,
    draw_distribution,
    draw_equity,
    draw_folds,
    draw_heat_map,
    draw_heat_maps,
    draw_monthly_returns,
    draw_sensitivity,
    draw_slices,
)
from helios_pipeline.reports.figures.convergence import luck_by_round
from helios_pipeline.reports.page import (
    Facts,
    Items,
    Page,
    Picture,
    Section,
    Table,
    Text,
    Verdict,
    render_page,
    show,
    simulated_warning,
    table_of,
    words,
)
from helios_pipeline.reports.performance import set_days, set_equity
from helios_pipeline.reports.sensitivity import influential_parameters
from helios_pipeline.reports.trades import notable_round_trips, round_trip_rows, trade_statistics
from helios_pipeline.simulation.record import Simulation
from helios_pipeline.sweep.grid import PARAMETER_NAMES, Grid
from helios_pipeline.sweep.positions import snap_to_grid
from helios_pipeline.walk_forward.stability import STABILITY_SCHEMA

METRIC_FORMS = {
    "sharpe": ".2f",
    "net_return": "+.1%",
    "max_drawdown": ".1%",
    "max_drawdown_intrabar": ".1%",
    "win_rate": ".0%",
    "exposure": ".0%",
    "round_trips": ",",
    "stops": ",",
    "proscore2": ".1f",
    "fees_quote": ",.0f",
    "funding_quote": "+,.0f",
    "turnover_quote": ",.0f",
}
FOLD_FORMS = {
    "in_sample_proscore2": ".1f",
    "in_sample_sharpe": ".2f",
    "noise_would_score": ".2f",
    "out_of_sample_sharpe": ".2f",
    "retention": ".2f",
    "efficiency": ".2f",
    "out_of_sample_net_return": "+.1%",
    "max_drawdown": ".1%",
}
STABILITY_FORMS = {
    "most_often": "g",
    "share": ".0%",
    "mean_step": ".2f",
    "step_by_chance": ".2f",
    "stability": ".2f",
}
PRICE_FORMS = {"noise_would_score": ".2f", "sharpe_required": ".2f"}
ROUND_FORMS = {
    "sets": ",",
    "passed": ",",
    "pass_rate": ".1%",
    "best_proscore2": ".1f",
    "best_sharpe": ".2f",
    "noise_would_score": ".2f",
}
TRIP_FORMS = {"hours": ".1f", "net": "+,.2f", "fees": ",.2f", "funding": "+,.2f"}
STATISTIC_FORMS = {
    "win_rate": ".0%",
    "mean_net": "+,.2f",
    "net": "+,.2f",
    "profit_factor": ".2f",
    "median_hours": ".1f",
}
FOLD_COLUMNS = (
    "fold",
    "out_of_sample_first",
    "out_of_sample_last",
    "in_sample_passed",
    "in_sample_proscore2",
    "in_sample_sharpe",
    "noise_would_score",
    "out_of_sample_sharpe",
    "retention",
    "efficiency",
    "out_of_sample_net_return",
    "max_drawdown",
    "round_trips",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedDecision:
    """What was decided about a round.

    Attributes:
        outcome: of the promotion.
        decided_at: UTC.
        summary: in a few sentences.
        gates: as they were judged, the holdout included.
        current: whether it was made from exactly the evidence that is stored now.
    """

    outcome: Literal["promoted", "refused"]
    decided_at: datetime
    summary: str
    gates: tuple[GateResult, ...]
    current: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundReport:
    """A round and everything that was found about it; nothing of it has seen the holdout but a recorded decision.

    Attributes:
        name: of the round.
        market_data: identity of the market.
        instruments: that were searched.
        costs: that every figure includes.
        window: of search and folds.
        holdout: the days after it.
        summary: of the sweep, as stored.
        metrics: one row per set.
        folds: one row per fold.
        stability: one row per swept parameter: how steady the folds' choices are.
        efficiency: of walk-forward, over all folds; None if there is none.
        out_of_sample: `at` and `growth` of the stitched out-of-sample days.
        simulation: of the candidate, or of the best set where there is none, over the window.
        initial_equity_quote: that it started with.
        agreement: of kernel and NautilusTrader, as stored.
        finalists: one row per finalist that was compared.
        gates: before the holdout, as they stand now.
        hurdle: what window and ledger ask of a Sharpe ratio.
        statistics: beside the gates, of the set that is shown.
        rounds: on the same bars up to this one, the oldest first.
        next_price: of the round that is proposed; None if none is, or below 60 days.
        decision: the newest on record; None if nothing was decided.
        input_versions: name → version of what the report is made from.
        version: of the report.
        made_at: UTC.
    """

    name: str
    market_data: str
    instruments: tuple[Instrument, ...]
    costs: Costs
    window: Window
    holdout: Window
    summary: Mapping[str, Any]
    metrics: pl.DataFrame
    folds: pl.DataFrame
    stability: Sequence[Mapping[str, object]]
    efficiency: float | None
    out_of_sample: pl.DataFrame
    simulation: Simulation
    initial_equity_quote: float
    agreement: Mapping[str, object]
    finalists: Sequence[Mapping[str, object]]
    gates: tuple[GateResult, ...]
    hurdle: Hurdle
    statistics: tuple[Statistic, ...]
    rounds: tuple[PastRound, ...]
    next_price: SearchPrice | None
    decision: RecordedDecision | None
    input_versions: Mapping[str, str]
    version: str
    made_at: datetime

    @property
    def set_word(self) -> str:
        """What the set that is shown is called."""
        return "candidate" if self.summary["has_candidate"] else "best set"


def render_round(report: RoundReport) -> str:
    """The page of a round."""
    return render_page(round_page(report))


def round_page(report: RoundReport) -> Page:
    """A round as sections, the verdict first."""
    return Page(
        kind="optimization round",
        title=report.name,
        verdict=round_verdict(report),
        warning=simulated_warning(report.market_data),
        facts=_header(report),
        sections=(
            _gates(report),
            _set(report),
            _equity(report),
            _parameters(report),
            _luck(report),
            _walk_forward(report),
            _costs(report),
            _trades(report),
            _agreement(report),
            _rounds(report),
            _next_round(report),
            _inputs(report),
        ),
        version=report.version,
        made_at=report.made_at,
    )


def round_verdict(report: RoundReport) -> Verdict:
    """The outcome in a sentence: as decided, or how it stands before the holdout."""
    decision = report.decision
    if decision is not None and decision.current:
        promoted = decision.outcome == "promoted"
        return Verdict(
            word="Promoted." if promoted else "Refused.",
            sentence=f"{_outcome(decision.summary)} Decided {show(decision.decided_at)} UTC.",
            tone="good" if promoted else "bad",
        )
    failed = [gate.name for gate in report.gates if not gate.passed]
    earlier = (
        ""
        if decision is None
        else f" The decision of {show(decision.decided_at)} UTC ({decision.outcome}) was made from other evidence."
    )
    if failed:
        stands = f"{len(failed)} of {len(report.gates)} gates before the holdout refuse: {words(', '.join(failed))}."
    else:
        stands = f"All {len(report.gates)} gates before the holdout pass; it has not been looked at."
    return Verdict(word="Not decided yet.", sentence=stands + earlier, tone="open")


def gates_table(gates: Sequence[GateResult]) -> Table:
    """Every gate with what was found, what was needed, and what that means."""
    names = {"gate": "gate", "verdict": "verdict", "value": "found", "needed": "needed", "explanation": "what it means"}
    return table_of([{shown: getattr(row, name) for name, shown in names.items()} for row in gate_rows(gates)])


def statistics_table(statistics: Sequence[Statistic]) -> Table:
    """What is shown beside the gates and refuses nothing."""
    names = {"statistic": "name", "found": "found", "what it means": "meaning"}
    rows = [{shown: getattr(row, name) for shown, name in names.items()} for row in statistics]
    return table_of(rows, caption="shown beside the gates; none of these refuses")


def _outcome(summary: str) -> str:
    """A decision's summary without its first word, which stands before it already."""
    rest = summary.partition(": ")[2]
    return rest[:1].upper() + rest[1:]


def _header(report: RoundReport) -> tuple[tuple[str, str], ...]:
    days = (report.window.last - report.window.first).days
    summary = report.summary
    return (
        ("market data", report.market_data),
        ("instruments", ", ".join(each.instrument_id for each in report.instruments)),
        ("in sample", f"{report.window.first:%Y-%m-%d} to {report.window.last:%Y-%m-%d}, {days} days"),
        ("holdout", f"{report.holdout.first:%Y-%m-%d} to {report.holdout.last:%Y-%m-%d}, not read for this report"),
        ("parameter sets", f"{summary['sets']:,}, of which {summary['passed']:,} met every constraint"),
        ("ledger", f"{report.hurdle.trials:,} trials on these bars"),
    )


def _gates(report: RoundReport) -> Section:
    decision = report.decision
    decided = decision is not None and decision.current
    gates = decision.gates if decision is not None and decided else report.gates
    said = "As decided." if decided else "As they stand now; the holdout is looked at when the round is decided."
    luck = luck_sharpe(report.hurdle.trials, report.hurdle.days)
    asked = f"{report.hurdle.sentence()} The best of as many sets without skill would be expected to show {luck:.2f}."
    return Section("Gates", (Text(said), gates_table(gates), Text(asked)))


def _set(report: RoundReport) -> Section:
    best = report.summary["best"]
    parameters = tuple((name, f"{value:g}") for name, value in best["parameters"].items())
    figures = tuple((words(name), show(best["metrics"][name], form)) for name, form in METRIC_FORMS.items())
    beside = beside_luck(best["metrics"]["sharpe"], trials=report.hurdle.trials, days=report.hurdle.days)
    figures = tuple((name, beside if name == "sharpe" else value) for name, value in figures)
    constraints = [
        {"constraint": words(name), "sets_that_failed": count, "of": report.summary["sets"]}
        for name, count in report.summary["failed"].items()
    ]
    return Section(
        report.set_word.capitalize(),
        (Facts(parameters), Facts(figures), table_of(constraints, caption="constraints in sample")),
    )


def _equity(report: RoundReport) -> Section:
    equity = draw_equity(set_equity(report.simulation), report.out_of_sample)
    months = draw_monthly_returns(set_days(report.simulation))
    return Section(
        "Equity",
        (
            Picture(
                equity, f"Equity and drawdown of the {report.set_word} in sample and of walk-forward out of sample"
            ),
            Picture(months, f"Net return of the {report.set_word} per month, in sample"),
            Text(
                f"In sample the {report.set_word} was chosen with hindsight: only the orange line was traded on days "
                "that its choice had not seen. It starts at 1 with the first fold."
            ),
        ),
    )


def _parameters(report: RoundReport) -> Section:
    best = report.summary["best"]["parameters"]
    # Sets between the grid's values are shown with the nearest; those on them stay where they are.
    grid = Grid.from_values(report.summary["grid"])
    metrics = snap_to_grid(grid, report.metrics)
    (shown,) = snap_to_grid(grid, pl.DataFrame([best])).iter_rows(named=True)
    names = influential_parameters(metrics)
    maps = []
    if len(names) > 1:
        for over in ("median", "best"):
            alt = f"Heat map of the Sharpe ratio, {names[1]} against {names[0]}, {over} over the other parameters"
            maps.append(Picture(draw_heat_map(metrics, names[0], names[1], over=over), alt))
    return Section(
        "Parameters",
        (
            Picture(draw_sensitivity(metrics, shown), "Sharpe ratio by parameter"),
            Picture(draw_slices(metrics, shown), "Sharpe ratio along each parameter through the best set"),
            *maps,
            Picture(draw_heat_maps(metrics), "Heat maps of the Sharpe ratio for every pair of parameters"),
        ),
    )


def _luck(report: RoundReport) -> Section:
    luck, hurdle = luck_sharpe(report.hurdle.trials, report.hurdle.days), report.hurdle
    observed = float("nan") if hurdle.observed_sharpe is None else hurdle.observed_sharpe
    figure = draw_distribution(
        report.metrics["sharpe"].to_numpy(), best=observed, luck=luck, needed=hurdle.required_sharpe
    )
    return Section(
        "Luck",
        (
            Picture(figure, "Distribution of the Sharpe ratio over all sets"),
            Text(
                f"The best of {hurdle.trials:,} sets without any skill would be expected to show a Sharpe of "
                f"{luck:.2f} on these {hurdle.days:,} days. {hurdle.sentence()}"
            ),
            statistics_table(report.statistics),
        ),
    )


def _walk_forward(report: RoundReport) -> Section:
    folds = report.folds.with_columns(noise_would_score=luck_of_folds(report.folds, report.hurdle.trials))
    choices = [None if text is None else json.loads(text) for text in folds["parameters"]]
    # What is stored as JSON has lost its order.
    axes = Grid.from_values(report.summary["grid"]).as_values()
    stability = pl.DataFrame(report.stability, schema=STABILITY_SCHEMA)
    chosen = [
        {"fold": fold, **{name: None if choice is None else choice[name] for name in PARAMETER_NAMES}}
        for fold, choice in zip(folds["fold"], choices, strict=True)
    ]
    return Section(
        "Walk-forward",
        (
            Picture(draw_folds(folds), "Sharpe ratio in and out of sample per fold"),
            table_of(folds.select(FOLD_COLUMNS).with_columns(pl.col(pl.Datetime).dt.date()), FOLD_FORMS),
            Text(_kept(report)),
            Picture(draw_choices(axes, choices), "Value of each parameter that each fold chose"),
            table_of(chosen, dict.fromkeys(PARAMETER_NAMES, "g"), caption="what each fold chose in sample"),
            table_of(stability, STABILITY_FORMS, caption="how steady the choices are; steps of the axis"),
        ),
    )


def _kept(report: RoundReport) -> str:
    over_all = "none" if report.efficiency is None else f"{report.efficiency:.2f}"
    return (
        "Retention is out-of-sample over in-sample Sharpe, of folds that judge 60 days or more; efficiency the same of "
        f"mean daily returns, {over_all} over all folds. Noise is the in-sample Sharpe that the best of the ledger's "
        f"{report.hurdle.trials:,} sets would be expected to show on a fold's in-sample days without skill. Stability "
        "is 1 for a parameter that never moved from fold to fold, 0 for one that wanders as by chance."
    )


def _costs(report: RoundReport) -> Section:
    split = split_costs(report.simulation, report.instruments, report.costs)
    rows = cost_rows(split, report.initial_equity_quote)
    costs = report.costs
    return Section(
        "Costs",
        (
            Picture(draw_cost_split(split), "Profit before costs, each cost, and what was left"),
            table_of(rows, {"quote": "+,.2f", "of_equity": "+.2%"}),
            Text(
                f"Charged: fee {(costs.fee_fraction * 10_000).normalize():f} bps, "
                f"half spread {costs.half_spread_bps:f} bps, slippage {costs.slippage_bps:f} bps, "
                f"stop slippage {costs.stop_slippage_bps:f} bps."
            ),
        ),
    )


def _trades(report: RoundReport) -> Section:
    rows = round_trip_rows(report.simulation.round_trips, report.instruments)
    if rows.is_empty():
        return Section("Round trips", (Text(f"The {report.set_word} made none."),))
    notable = notable_round_trips(rows)
    return Section(
        "Round trips",
        (
            table_of(trade_statistics(rows), STATISTIC_FORMS, caption="in sample, quote currency, net of all costs"),
            *(table_of(few, TRIP_FORMS, caption=f"the {which} ones") for which, few in notable.items()),
        ),
    )


def _agreement(report: RoundReport) -> Section:
    agreement = tuple((words(name), show(value)) for name, value in report.agreement.items())
    return Section(
        "Second engine",
        (
            Text("Finalists run again in NautilusTrader: every fill, fee and payment has to be equal, tolerance zero."),
            Facts(agreement),
            table_of(report.finalists, {"nautilus_seconds": ".1f"}),
        ),
    )


def _next_round(report: RoundReport) -> Section:
    proposal, warnings = report.summary["next_round"], tuple(report.summary["warnings"])
    axes = [
        {
            "parameter": axis["parameter"],
            **{name: ", ".join(f"{value:g}" for value in axis[name]) for name in ("before", "after")},
            "reason": axis["reason"],
        }
        for axis in proposal["axes"]
    ]
    doubts = Items(warnings) if warnings else Text("The best set stands on no edge of the grid, and not alone.")
    blocks = (Text(f"{proposal['reason']}."), doubts, table_of(axes))
    return Section("Next round", blocks if report.next_price is None else (*blocks, _price(report.next_price)))


def _price(price: SearchPrice) -> Table:
    return table_of(
        price_rows(price),
        PRICE_FORMS,
        caption=f"price of the next round on these {price.days:,} days, for normal returns; known sets cost nothing",
    )


def _rounds(report: RoundReport) -> Section:
    rows = [
        {
            "round": each.name,
            "sampler": each.sampler,
            "sets": each.sets,
            "passed": each.passed,
            "pass_rate": each.pass_rate,
            "best_proscore2": each.best_proscore2,
            "best_sharpe": each.best_sharpe,
            "noise_would_score": luck,
        }
        for each, luck in zip(report.rounds, luck_by_round(report.rounds), strict=True)
    ]
    return Section(
        "Rounds",
        (
            Picture(draw_convergence(report.rounds), "Sets, pass rate, ProScore2 and Sharpe of the best, per round"),
            table_of(rows, ROUND_FORMS),
            Text(
                "Rounds on the same bars, up to this one. Noise is the Sharpe that the best of the trials until then "
                "would be expected to show without skill."
            ),
        ),
    )


def _inputs(report: RoundReport) -> Section:
    rows = [{"input": name, "version": version} for name, version in report.input_versions.items()]
    return Section("Inputs", (table_of(rows, caption="hashes of what each was made from"),))

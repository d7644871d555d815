"""What the terminal shows of data, rounds and decisions."""

import json
from datetime import datetime
from typing import Any

from assets.reports import report_store
from assets.research import Research
from assets.rounds import RoundPlan
from assets.search_statistics import count_trials, price_of_round
from assets.sweep import sweep_version
from helios_pipeline.adapters.champion.files import champion_path
from helios_pipeline.adapters.postgres.promotions import StoredDecision
from helios_pipeline.cli.terminal import out, table
from helios_pipeline.core.calendar import months_between
from helios_pipeline.core.keys import PIPELINE_NETWORK
from helios_pipeline.core.records import Window
from helios_pipeline.core.selection import GateResult
from helios_pipeline.promotion.decision import gate_rows
from helios_pipeline.promotion.luck import beside_luck, luck_sharpe

GAPS_SHOWN = 12
FOLD_COLUMNS = (
    *("fold", "judged from", "to", "passed", "Sharpe in sample", "noise would score", "Sharpe out of sample"),
    *("retention", "efficiency", "net return", "round trips"),
)
"""Of walk-forward: what in-sample bars chose, then what that earned on the bars that judge it."""


def show_data(research: Research) -> None:
    """Bars per instrument, and the gaps that were found; none of them is filled."""
    shown = table("Bars", "instrument", "bars", "from 1m", "missing", "quarantined", "checked against 15m", "different")
    gaps: list[tuple[str, dict[str, Any]]] = []
    settings = research.settings.research
    for instrument in settings.instruments:
        months = months_between(settings.first_month, settings.last_month)
        facts = [research.lake.facts("bars_15m", instrument=instrument, month=month) for month in months]
        known = [fact for fact in facts if fact]
        own = [gap for fact in known for gap in fact["gaps"]]
        counts = (
            sum(fact["bars"] for fact in known),
            sum(fact["sources"].get("1m", 0) for fact in known),
            sum(gap["bars"] for gap in own),
            sum(fact["quarantined_rows"] for fact in known),
            sum(fact["cross_check"]["compared"] for fact in known),
            sum(fact["cross_check"]["different"] for fact in known),
        )
        shown.add_row(instrument, *(f"{count:,}" for count in counts))
        gaps += [(instrument, gap) for gap in own]
    out.print(shown)
    if not gaps:
        return
    listed = table(f"Gaps, {len(gaps)} in all", "instrument", "first", "last", "bars", "cause")
    for instrument, gap in gaps[:GAPS_SHOWN]:
        first, last = (f"{datetime.fromisoformat(gap[end]):%Y-%m-%d %H:%M}" for end in ("first", "last"))
        listed.add_row(instrument, first, last, str(gap["bars"]), gap["cause"])
    out.print(listed)


def show_price(research: Research, plan: RoundPlan) -> None:
    """What the round will cost in Sharpe ratio; nothing if it ran already and would not run again."""
    if research.lake.version_named("sweep_results", plan.name) == sweep_version(research, plan):
        return
    price = price_of_round(research, plan)
    if price is not None:
        out.print(f"  {price.sentence()}", highlight=False)


def show_round(research: Research, plan: RoundPlan) -> None:
    """What the sweep found: how many sets passed, what stopped the others, and the best."""
    facts: dict[str, Any] = research.lake.facts_named("sweep_results", plan.name)
    if not facts:
        return
    first, last = plan.window.first, plan.window.last
    shown = table(f"Round {plan.name}", "", "")
    shown.add_row("in sample", f"{first:%Y-%m-%d} to {last:%Y-%m-%d}, {(last - first).days} days")
    held = plan.holdout
    shown.add_row("holdout", f"{held.first:%Y-%m-%d} to {held.last:%Y-%m-%d}, untouched until every other gate passes")
    shown.add_row("sets", f"{facts['sets']:,}, of which {facts['passed']:,} met every constraint")
    failed = ", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in facts["failed"].items())
    shown.add_row("failed", failed)
    best = facts["best"]
    parameters = ", ".join(f"{name} {value:g}" for name, value in best["parameters"].items())
    shown.add_row("candidate" if facts["has_candidate"] else "best set", parameters)
    trials, days = count_trials(research, plan, plan.window), best["metrics"]["days"]
    shown.add_row("", _metrics(best["metrics"], beside_luck(best["metrics"]["sharpe"], trials=trials, days=days)))
    for warning in facts["warnings"]:
        shown.add_row("warning", warning)
    shown.add_row("next round", facts["next_round"]["reason"])
    out.print(shown)


def show_walk_forward(research: Research, plan: RoundPlan) -> None:
    """What walk-forward found: fold by fold, all folds together, and how steady their choices are."""
    facts: dict[str, Any] = research.lake.facts_named("walk_forward_report", plan.name)
    folds = table("Folds", *FOLD_COLUMNS)
    for row in facts["folds"]:
        in_sample, judged = _window(row, "in_sample"), _window(row, "out_of_sample")
        trials, days = count_trials(research, plan, in_sample), (in_sample.last - in_sample.first).days
        folds.add_row(
            f"{row['fold']}",
            f"{judged.first:%Y-%m-%d}",
            f"{judged.last:%Y-%m-%d}",
            f"{row['in_sample_passed']:,}",
            _figure(row["in_sample_sharpe"], ".2f"),
            f"{luck_sharpe(trials, days):.2f}",
            _figure(row["out_of_sample_sharpe"], ".2f"),
            _figure(row["retention"], ".2f"),
            _figure(row["efficiency"], ".2f"),
            f"{row['out_of_sample_net_return']:+.1%}",
            f"{row['round_trips']:,}",
        )
    out.print(folds)
    summary = facts["summary"]
    out.print(
        f"All folds: out-of-sample Sharpe {_figure(summary['out_of_sample_sharpe'], '.2f')}, "
        f"retention {_figure(summary['retention'], '.2f')}, efficiency {_figure(facts['efficiency'], '.2f')}, "
        f"{summary['round_trips']:,} round trips, {_figure(summary['positive_fraction'], '.0%')} of folds positive.",
        highlight=False,
    )
    _show_stability(facts["stability"])


def _window(fold: dict[str, Any], part: str) -> Window:
    first, last = (datetime.fromisoformat(fold[f"{part}_{end}"]) for end in ("first", "last"))
    return Window(first=first, last=last)


def _show_stability(rows: list[dict[str, Any]]) -> None:
    shown = table("Choices", "parameter", "chosen most often", "by folds", "values chosen", "of", "stability")
    for row in rows:
        shown.add_row(
            row["parameter"],
            _figure(row["most_often"], "g"),
            _figure(row["share"], ".0%"),
            f"{row['chosen']}",
            f"{row['values']}",
            _figure(row["stability"], ".2f"),
        )
    if rows:
        out.print(shown)
        out.print("Stability: 1 where no fold chose another value, 0 as by chance.", highlight=False)


def show_agreement(research: Research, plan: RoundPlan) -> None:
    """Whether NautilusTrader did what the kernel did, finalist by finalist."""
    facts: dict[str, Any] = research.lake.facts_named("backtest_report", plan.name)
    shown = table("Finalists in NautilusTrader", "parameters", "fills", "agreement", "seconds", "MB")
    for row in facts["finalists"]:
        parameters = ", ".join(f"{name} {value:g}" for name, value in json.loads(row["parameters"]).items())
        shown.add_row(
            parameters,
            f"{row['fills']:,}",
            row["difference"] or "equal",
            f"{row['nautilus_seconds']:.1f}",
            f"{row['peak_mb']:,}",
        )
    out.print(shown)


def show_decision(research: Research, stored: StoredDecision) -> None:
    """Every gate with value and threshold, and the outcome in words."""
    report: Any = stored.decision.gates
    gates = table("Gates", "gate", "verdict", "found", "needed", "what it means")
    colours = {"passed": "green", "failed": "red", "not reached": "dim"}
    for row in gate_rows([GateResult(**values) for values in report["gates"]]):
        verdict = f"[{colours[row.verdict]}]{row.verdict}[/]"
        gates.add_row(row.gate, verdict, row.value, row.needed, row.explanation)
    out.print(gates)
    if stored.decision.decision == "promoted":
        path = champion_path(research.settings.home, PIPELINE_NETWORK)
        out.print(f"[bold green]Champion for {PIPELINE_NETWORK}[/], signed with key {stored.decision.key_id}: {path}")
    else:
        out.print("[bold yellow]Refused.[/] This is a result: nothing will be traded on this evidence.")
    out.print(report["summary"], highlight=False)


def show_report(research: Research, plan: RoundPlan) -> None:
    """Where the round's report is."""
    for stored in report_store(research).versions("round", plan.name)[:1]:
        out.print(f"Report: {stored.path}; `helios report round --open` shows it.", highlight=False, soft_wrap=True)


def _metrics(metrics: dict[str, Any], sharpe: str) -> str:
    return (
        f"Sharpe {sharpe}, net return {_figure(metrics['net_return'], '+.1%')}, "
        f"max drawdown {_figure(metrics['max_drawdown'], '.1%')}, {_figure(metrics['round_trips'], ',')} round trips, "
        f"win rate {_figure(metrics['win_rate'], '.0%')}, ProScore2 {_figure(metrics['proscore2'], '.1f')}"
    )


def _figure(value: float | None, form: str) -> str:
    return "none" if value is None else format(value, form)

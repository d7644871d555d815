"""What the terminal shows of data, rounds and decisions."""

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
from helios_pipeline.core.selection import GateResult
from helios_pipeline.promotion.decision import gate_rows
from helios_pipeline.reports.luck import beside_luck

GAPS_SHOWN = 12


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
    def figure(name: str, form: str) -> str:
        return "none" if metrics[name] is None else format(metrics[name], form)

    return (
        f"Sharpe {sharpe}, net return {figure('net_return', '+.1%')}, "
        f"max drawdown {figure('max_drawdown', '.1%')}, {figure('round_trips', ',')} round trips, "
        f"win rate {figure('win_rate', '.0%')}, ProScore2 {figure('proscore2', '.1f')}"
    )

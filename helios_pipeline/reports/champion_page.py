"""The report on a network's champion: what may be traded, on what evidence, and who says so."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from helios_pipeline.core.manifest import Manifest
from helios_pipeline.core.selection import GateResult
from helios_pipeline.metrics.sharpe import sharpe
from helios_pipeline.metrics.sharpe_interval import SharpeInterval
from helios_pipeline.promotion.luck import beside_luck
from helios_pipeline.reports.figures import draw_equity, draw_monthly_returns
from helios_pipeline.reports.page import (
    Block,
    Facts,
    Page,
    Picture,
    Section,
    Text,
    Verdict,
    render_page,
    show,
    simulated_warning,
    table_of,
)
from helios_pipeline.reports.performance import NO_EQUITY, set_days, set_equity
from helios_pipeline.reports.round_page import gates_table
from helios_pipeline.simulation.record import Simulation


@dataclass(frozen=True, slots=True, kw_only=True)
class Reign:
    """A promotion that was or is the champion.

    Attributes:
        since: when it became champion, UTC.
        promotion: number of the decision.
        round: that proposed it.
        action: how it became champion.
        reason: why.
    """

    since: datetime
    promotion: int
    round: str
    action: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """The newest decision, where that was a refusal.

    Attributes:
        decided_at: UTC.
        round: that was judged.
        summary: in a few sentences.
        gates: as they were judged.
    """

    decided_at: datetime
    round: str
    summary: str
    gates: tuple[GateResult, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChampionReport:
    """What a network may trade.

    Attributes:
        network: `paper`, `testnet` or `mainnet`.
        manifest: of the champion, as signed; None if there is none.
        key_id: of the key that signed; None without a champion.
        content_hash: that names the manifest; None without a champion.
        objection: why the manifest would not be traded on; None if it verifies.
        history: everything the network ever traded, newest first.
        refusal: the newest decision, if it refused.
        simulation: of the champion on its round's window; None if that can't be run on the stored data.
        interval: of its Sharpe ratio there; None if there is none.
        version: of the report.
        made_at: UTC.
    """

    network: str
    manifest: Manifest | None
    key_id: str | None
    content_hash: str | None
    objection: str | None
    history: Sequence[Reign]
    refusal: Refusal | None
    simulation: Simulation | None
    interval: SharpeInterval | None
    version: str
    made_at: datetime


def render_champion(report: ChampionReport) -> str:
    """The page of a network's champion."""
    return render_page(champion_page(report))


def champion_page(report: ChampionReport) -> Page:
    """The champion as sections, the verdict first."""
    manifest = report.manifest
    sections = [] if manifest is None else _champion_sections(report, manifest)
    if report.refusal is not None:
        sections.append(_refusal(report.refusal))
    sections.append(_history(report.history))
    return Page(
        kind="champion",
        title=f"Champion for {report.network}",
        verdict=champion_verdict(report),
        warning=None if manifest is None else simulated_warning(manifest.provenance.market_data),
        facts=() if manifest is None else _approval(report, manifest),
        sections=tuple(sections),
        version=report.version,
        made_at=report.made_at,
    )


def champion_verdict(report: ChampionReport) -> Verdict:
    """Whether there is a champion that may be traded; if not, why."""
    manifest = report.manifest
    if manifest is None:
        refusal = report.refusal
        why = "Nothing was decided yet." if refusal is None else f"Round {refusal.round}: {refusal.summary}"
        return Verdict(word="No champion.", sentence=why, tone="open")
    if report.objection is not None:
        return Verdict(word="Not valid.", sentence=report.objection, tone="bad")
    until = manifest.approval.expires_at
    valid = "without an end" if until is None else f"until {show(until)} UTC"
    return Verdict(
        word="Champion.",
        sentence=f"Signed by {manifest.approval.approver} with key {report.key_id}, valid {valid}, "
        f"found by round {manifest.provenance.round_id}.",
        tone="good",
    )


def _approval(report: ChampionReport, manifest: Manifest) -> tuple[tuple[str, str], ...]:
    approval, provenance = manifest.approval, manifest.provenance
    return (
        ("market data", provenance.market_data),
        ("round", provenance.round_id),
        ("trials", show(provenance.trials)),
        ("approved by", approval.approver),
        ("approved at", f"{show(approval.created_at)} UTC"),
        ("valid until", "no end" if approval.expires_at is None else f"{show(approval.expires_at)} UTC"),
        ("key", str(report.key_id)),
        ("manifest", str(report.content_hash)),
    )


def _champion_sections(report: ChampionReport, manifest: Manifest) -> list[Section]:
    terms = manifest.terms
    parameters = tuple((name, f"{value:g}") for name, value in manifest.parameters.items())
    costs = tuple((name.replace("_", " "), f"{value:f}") for name, value in asdict(terms.costs).items())
    limits = tuple((name.replace("_", " "), show(value)) for name, value in asdict(terms.limits).items())
    features = tuple((name.replace("_", " "), f"{value:g}") for name, value in asdict(terms.features).items())
    hashes = [{"input": name, "hash": value} for name, value in sorted(manifest.provenance.data_hashes.items())]
    return [
        Section("Parameters", (Facts(parameters),)),
        Section("Evidence", (gates_table(manifest.evidence),)),
        Section("Equity of its round", _equity(report, manifest.provenance.trials)),
        Section(
            "Terms",
            (
                Facts(
                    (
                        ("strategy version", terms.strategy_version),
                        ("bar", f"{terms.bar_seconds:,} s"),
                        ("funding interval", f"{terms.funding_interval_seconds:,} s"),
                    )
                ),
                table_of([asdict(each) for each in terms.instruments], caption="instruments"),
                Text("Costs that the evidence includes:"),
                Facts(costs),
                Text("Limits of sizing:"),
                Facts(limits),
                Text("Settings of the features:"),
                Facts(features),
            ),
        ),
        Section("Provenance", (table_of(hashes, caption="what the evidence was found on"),)),
    ]


def _equity(report: ChampionReport, trials: int) -> tuple[Block, ...]:
    simulation, interval = report.simulation, report.interval
    if simulation is None:
        return (Text("The data of its round is not stored here, so its equity is not shown."),)
    days = len(simulation.daily_returns)
    observed = beside_luck(sharpe(simulation.daily_returns), trials=trials, days=days)
    bounds = (
        ("Sharpe interval", "none")
        if interval is None
        else (f"Sharpe interval, {interval.confidence:.0%}", f"{interval.low:.2f} to {interval.high:.2f}")
    )
    return (
        Facts((("Sharpe, in sample", observed), bounds, ("days", show(days)))),
        Picture(draw_equity(set_equity(simulation), NO_EQUITY), "Equity and drawdown on its round's window, in sample"),
        Picture(draw_monthly_returns(set_days(simulation)), "Net return per month, in sample"),
    )


def _refusal(refusal: Refusal) -> Section:
    said = f"Round {refusal.round}, {show(refusal.decided_at)} UTC. {refusal.summary}"
    return Section("Latest refusal", (Text(said), gates_table(refusal.gates)))


def _history(history: Sequence[Reign]) -> Section:
    if not history:
        return Section("History", (Text("Nothing was ever promoted here."),))
    rows = [
        {**asdict(reign), "promotion": str(reign.promotion), "action": reign.action.replace("_", " ")}
        for reign in history
    ]
    return Section("History", (table_of(rows, caption="newest first"),))

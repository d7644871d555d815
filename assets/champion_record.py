"""What the report on a champion is made of, out of database, keys and lake."""

from typing import Any

import polars as pl

from assets.research import Research
from assets.round_record import gates_on_record
from assets.rounds import MARKET_DATA
from assets.search_statistics import interval_of
from helios_pipeline.adapters.keys.files import trusted_keys
from helios_pipeline.adapters.postgres.promotions import ChampionRow, PromotionStore, StoredDecision
from helios_pipeline.adapters.postgres.rounds import RoundStore
from helios_pipeline.core.calendar import BAR_INTERVAL, month_start, months_between
from helios_pipeline.core.canonical import from_document, parse_canonical
from helios_pipeline.core.errors import DataError, ManifestError
from helios_pipeline.core.keys import Network
from helios_pipeline.core.manifest import Deployment, Manifest, SignedManifest, verify_manifest
from helios_pipeline.core.records import Window
from helios_pipeline.core.version import content_version
from helios_pipeline.reports.champion_page import ChampionReport, Refusal, Reign
from helios_pipeline.simulation.inputs import build_inputs
from helios_pipeline.simulation.kernel import simulate
from helios_pipeline.simulation.record import Simulation
from helios_pipeline.strategy.parameters import STRATEGY_VERSION, ParameterSet

CHAMPION_REPORT_VERSION = "2"


def champion_report_version(research: Research, network: Network) -> str:
    """Version that the network's report would have if it were made now."""
    store = PromotionStore(research.database())
    history = store.champions(network)
    objection = _objection(research, _signed(history[0]), network) if history else None
    return content_version(
        "champion_report",
        CHAMPION_REPORT_VERSION,
        network=network,
        statistics=research.settings.statistics.model_dump(),
        history=[(row.promotion_id, row.since) for row in history],
        decisions=[stored.promotion_id for stored in store.decisions(network, limit=1)],
        # An expired manifest is told by the present instant, which must not make every report a new one.
        objection=None if objection is None else objection.replace(str(research.now), "now"),
    )


def gather_champion(research: Research, network: Network) -> ChampionReport:
    """Everything a champion's report shows."""
    store = PromotionStore(research.database())
    history, decisions = store.champions(network), store.decisions(network, limit=1)
    signed = _signed(history[0]) if history else None
    manifest = None if signed is None else _manifest(signed)
    objection = None if signed is None else _objection(research, signed, network)
    simulation = None if manifest is None else _simulation(research, manifest)
    return ChampionReport(
        network=network,
        manifest=manifest,
        key_id=None if signed is None else signed.key_id,
        content_hash=None if signed is None else signed.content_hash,
        objection=objection,
        history=[_reign(each) for each in history],
        refusal=_refusal(decisions),
        simulation=simulation,
        interval=None if simulation is None else interval_of(research, simulation.daily_returns),
        version=champion_report_version(research, network),
        made_at=research.now,
    )


def _signed(row: ChampionRow) -> SignedManifest:
    return SignedManifest.from_record(row.manifest, key_id=row.key_id, signature=row.signature)


def _manifest(signed: SignedManifest) -> Manifest:
    """What the manifest says, whoever signed it; `_objection` says whether it may be believed."""
    return from_document(Manifest, parse_canonical(signed.content, "manifest"), "manifest")


def _objection(research: Research, signed: SignedManifest, network: Network) -> str | None:
    deployment = Deployment(
        network=network, bar_seconds=int(BAR_INTERVAL.total_seconds()), strategy_version=STRATEGY_VERSION
    )
    trusted = trusted_keys(research.settings.home, research.settings.keys.model_dump())
    keys = {name: [key for key, _ in listed] for name, listed in trusted.items()}
    try:
        verify_manifest(signed, deployment=deployment, trusted=keys, now=research.now)
    except ManifestError as error:
        return str(error)
    return None


def _simulation(research: Research, manifest: Manifest) -> Simulation | None:
    """The champion on its round's window, if this lake holds it; its own terms, not the settings in force."""
    sweep = RoundStore(research.database()).sweep(manifest.provenance.round_id)
    if sweep is None or manifest.provenance.market_data != research.market_data:
        return None
    try:
        frames = {name: _frames(research, manifest, name, sweep.window) for name in MARKET_DATA}
    except DataError:  # a month is not stored here: the database may be shared, the lake is not
        return None
    terms = manifest.terms
    inputs = build_inputs(
        terms.instruments,
        frames["bars_15m"],
        frames["funding_features"],
        frames["raw_funding_rates"],
        costs=terms.costs,
        limits=terms.limits,
        feature_settings=terms.features,
        initial_equity_quote=research.settings.research.initial_equity_quote,
        window=sweep.window,
    )
    parameters = ParameterSet.from_mapping(manifest.parameters)
    return simulate(inputs, parameters, start=inputs.first_slot, stop=len(inputs.opened_at))


def _frames(research: Research, manifest: Manifest, name: str, window: Window) -> dict[str, pl.DataFrame]:
    stamp = pl.col("settled_at" if name == "raw_funding_rates" else "opened_at")
    inside = stamp <= window.last if name == "raw_funding_rates" else stamp < window.last
    months = months_between(f"{window.first:%Y-%m}", f"{window.last:%Y-%m}")
    return {
        each.instrument_id: pl.concat(
            research.lake.read(name, instrument=each.instrument_id, month=month)
            for month in months
            if month_start(month) < window.last
        ).filter(inside)
        for each in manifest.terms.instruments
    }


def _reign(row: ChampionRow) -> Reign:
    return Reign(since=row.since, promotion=row.promotion_id, round=row.round, action=row.action, reason=row.reason)


def _refusal(decisions: list[StoredDecision]) -> Refusal | None:
    if not decisions or decisions[0].decision.decision != "refused":
        return None
    stored = decisions[0]
    report: Any = stored.decision.gates
    return Refusal(
        decided_at=stored.decided_at,
        round=stored.decision.round,
        summary=report["summary"],
        gates=gates_on_record(stored),
    )

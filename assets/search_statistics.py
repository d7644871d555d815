"""What luck could have done in a round, out of ledger and lake: shown beside every best Sharpe, before and after."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assets.research import Research
from assets.rounds import RoundPlan
from helios_pipeline.adapters.postgres.ledger import LedgerStore
from helios_pipeline.core.records import Window
from helios_pipeline.metrics.clusters import Clustering, EffectiveTrials, effective_trials
from helios_pipeline.metrics.pbo import PboResult, pbo
from helios_pipeline.metrics.reality_check import RealityCheck, reality_check_of_blocks
from helios_pipeline.metrics.sharpe_interval import Resampling, SharpeInterval, sharpe_interval
from helios_pipeline.promotion.price import SearchPrice, count_at_most, price_search
from helios_pipeline.sweep.grid import Grid
from helios_pipeline.sweep.ledger import blocks_in_force
from helios_pipeline.sweep.rounds import RoundResult
from helios_pipeline.walk_forward.folds import FoldLengths

COMPARED_ROUND_TRIPS = 20
"""Sets with fewer say nothing about the search, whatever the constraints ask for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerStatistics:
    """Statistics over all of the ledger's sets on a round's window that traded often enough.

    Attributes:
        pbo: what the gate reads; None for fewer than two sets.
        effective_trials: shown; None for fewer than four sets that ever traded.
        reality_check: shown.
    """

    pbo: PboResult | None
    effective_trials: EffectiveTrials | None
    reality_check: RealityCheck


def count_trials(research: Research, plan: RoundPlan, window: Window) -> int:
    """Distinct sets of the ledger that were evaluated on some of a window's bars."""
    ids = [instrument.instrument_id for instrument in plan.context.instruments]
    return LedgerStore(research.database()).count_trials(research.market_data, ids, window)


def ledger_statistics(research: Research, plan: RoundPlan, result: RoundResult) -> LedgerStatistics:
    """Compare the ledger's sets of the round's window with each other."""
    ids = [instrument.instrument_id for instrument in plan.context.instruments]
    keys, recorded = LedgerStore(research.database()).blocks(
        research.market_data, ids, plan.window, COMPARED_ROUND_TRIPS
    )
    blocks = blocks_in_force(keys, recorded, result, plan.context, min_round_trips=COMPARED_ROUND_TRIPS)
    section = research.settings.statistics
    clustering = Clustering(most_sets=section.clustered_sets, starts=section.cluster_starts, seed=section.seed)
    return LedgerStatistics(
        pbo=pbo(blocks) if len(blocks) >= 2 else None,
        effective_trials=effective_trials(blocks, clustering),
        reality_check=reality_check_of_blocks(blocks, draws=section.draws, seed=section.seed),
    )


def interval_of(research: Research, daily_returns: NDArray[np.float64]) -> SharpeInterval | None:
    """Confidence interval of a set's Sharpe ratio, as the settings draw it; None if it has none."""
    section = research.settings.statistics
    resampling = Resampling(draws=section.draws, seed=section.seed)
    return sharpe_interval(daily_returns, confidence=section.confidence, resampling=resampling)


def price_of_round(research: Research, plan: RoundPlan) -> SearchPrice | None:
    """What the round's sets cost at most: those that the ledger knows already cost nothing. None below 60 days."""
    sets = plan.search.sets if plan.search.sampled else plan.grid.size
    days = (plan.window.last - plan.window.first).days
    lengths = FoldLengths(**research.settings.walk_forward.model_dump())
    return price_search(
        days=days,
        trials=count_trials(research, plan, plan.window),
        more=count_at_most(plan.search, sets, days=days, lengths=lengths),
        threshold=research.settings.gates.min_deflated_sharpe,
    )


def price_of_proposal(research: Research, plan: RoundPlan, proposal: Mapping[str, Any]) -> SearchPrice | None:
    """What the round that a round proposes would cost on the same days, searched in the same way.

    Args:
        research: whose ledger.
        plan: of the round that proposes.
        proposal: as it is stored.

    Returns:
        None where the search ends, and below 60 days.
    """
    if proposal["grid"] is None:
        return None
    return price_of_round(research, replace(plan, grid=Grid.from_values(proposal["grid"])))

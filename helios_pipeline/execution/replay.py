"""Decisions made again on what was recorded with them: `decide` and `allocate` must say what they said then."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from helios_pipeline.core.trading import Decision
from helios_pipeline.execution.decision_records import quanta
from helios_pipeline.execution.traded_market import TradedMarket
from helios_pipeline.strategy.allocation import AccountState
from helios_pipeline.strategy.boundary import ALLOCATED, MarketView, decide_on_account, wanted_sides
from helios_pipeline.strategy.desk import Features, MarketDecision
from helios_pipeline.strategy.signal import MarketState
from helios_pipeline.strategy.terms import Terms

type TermsOf = Callable[[str], Terms | None]
"""Hash of a manifest → its terms for the markets of the replay, in their order."""

FEATURES = ("z_price", "z_funding", "volatility", "atr")


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """How many decisions were made again, and where they differ.

    Attributes:
        decisions: made again.
        equal: of them, with nothing different.
        differences: one line each, in order of time.
    """

    decisions: int
    equal: int
    differences: tuple[str, ...]


def replay_decisions(decisions: Iterable[Decision], markets: Sequence[TradedMarket], terms_of: TermsOf) -> Replay:
    """Decide again on the recorded features, state and account.

    Args:
        decisions: in the order in which they were recorded.
        markets: in the strategy's order.
        terms_of: of every champion that was traded.
    """
    equal, differences = 0, list[str]()
    groups = together(decisions)
    for group in groups:
        again = _decide_again(group, markets, terms_of)
        for recorded in group:
            found = differences_of(recorded, again.get(recorded.instrument_id))
            equal += not found
            differences += found
    return Replay(decisions=sum(map(len, groups)), equal=equal, differences=tuple(differences))


def together(decisions: Iterable[Decision]) -> list[list[Decision]]:
    """Decisions that were made in one go: they share what is free."""
    groups: dict[tuple[datetime, datetime], list[Decision]] = {}
    for decision in decisions:
        groups.setdefault((decision.closed_at, decision.decided_at), []).append(decision)
    return list(groups.values())


def _decide_again(
    group: Sequence[Decision], markets: Sequence[TradedMarket], terms_of: TermsOf
) -> dict[str, MarketDecision]:
    by_id = {decision.instrument_id: decision for decision in group}
    ordered = [by_id.get(market.instrument_id) for market in markets]
    views = [_view(each, market, terms_of) for each, market in zip(ordered, markets, strict=True)]
    features = features_of(ordered)
    first = group[0]
    account = AccountState(quanta(first.equity), quanta(first.gross_kept), first.open_kept)
    terms = newest_terms(group, terms_of)
    decided = decide_on_account(views, features, wanted_sides(views, features), account, terms)
    return {markets[one.market].instrument_id: one for one in decided.markets}


def newest_terms(group: Sequence[Decision], terms_of: TermsOf) -> Terms | None:
    """Terms that entries of one moment were sized on: those of markets that are flat."""
    offered = [each.manifest_hash for each in group if not each.position_side and each.manifest_hash]
    return terms_of(offered[0]) if offered else None


def _view(decision: Decision | None, market: TradedMarket, terms_of: TermsOf) -> MarketView:
    if decision is None:
        return MarketView(MarketState(0, 0, False), 0, "", 0, 0, 0, "", None, 0.0, False, False, False, "")
    terms = terms_of(decision.manifest_hash) if decision.manifest_hash else None
    return MarketView(
        state=MarketState(decision.position_side, decision.bars_held, decision.may_enter),
        lots=decision.position_lots,
        leaving=decision.leaving,
        pending_lots=0,
        close_ticks=0 if decision.close is None else int(decision.close // market.signal_tick),
        lot_value=0,
        manifest_hash=decision.manifest_hash,
        rule=None if terms is None else terms.rule,
        stop_atr=0.0 if terms is None else terms.parameters.stop_atr,
        due=True,
        has_bar=decision.close is not None,
        quoted=decision.outcome != "cancelled",
        refusal=refusal_of(decision),
    )


def refusal_of(decision: Decision) -> str:
    """Why an entry had to be refused; what was refused for another reason keeps that, if a side was wanted at all."""
    allocated = decision.outcome in ALLOCATED
    if decision.late:
        return "late"
    if decision.mode != "ACTIVE" and allocated:
        return f"blocked:{decision.mode}"
    return "" if allocated or not decision.wanted else decision.outcome


def features_of(decisions: Sequence[Decision | None]) -> Features:
    """Features as they were recorded, one entry a market; NaN for no value and for a market without a decision."""
    return Features(*(np.array([_feature(each, name) for each in decisions]) for name in FEATURES))


def _feature(decision: Decision | None, name: str) -> float:
    value = None if decision is None else getattr(decision, name)
    return float("nan") if value is None else float(value)


def differences_of(recorded: Decision, again: MarketDecision | None) -> list[str]:
    """One line if a decision came out otherwise."""
    where = f"{recorded.instrument_id} at {recorded.closed_at}"
    if again is None:
        return [f"{where}: expected an instrument of the strategy, found another"]
    pairs = {
        "wanted": (recorded.wanted, again.wanted),
        "outcome": (recorded.outcome, again.outcome),
        "lots": (recorded.lots, again.entry_lots),
    }
    found = [f"{name} recorded {was}, again {now}" for name, (was, now) in pairs.items() if was != now]
    return [f"{where}: {'; '.join(found)}"] if found else []

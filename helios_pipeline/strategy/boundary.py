"""What all markets of one account decide at a boundary: pure, for the strategy, its replay and its tests."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from helios_pipeline.features.windows import Floats, Integers
from helios_pipeline.strategy.allocation import (
    BELOW_MINIMUM,
    CROWDED_OUT,
    TAKEN,
    WITHOUT_VOLATILITY,
    AccountState,
    Candidates,
    allocate,
)
from helios_pipeline.strategy.desk import Features, MarketDecision
from helios_pipeline.strategy.signal import MarketState, SignalRule, decide, signal
from helios_pipeline.strategy.terms import Terms

ALLOCATION_OUTCOMES = {
    TAKEN: "enter",
    BELOW_MINIMUM: "below_minimum",
    WITHOUT_VOLATILITY: "without_volatility",
    CROWDED_OUT: "crowded_out",
}
ALLOCATED = frozenset({*ALLOCATION_OUTCOMES.values(), "cancelled"})
"""What can become of an entry that nothing refused."""
NO_CHAMPION = "no_champion"


class MarketView(NamedTuple):
    """One market as a decision sees it.

    Attributes:
        state: position, bars held, whether the cooldown is over.
        lots: of the position.
        leaving: why an exit is under way; empty for none.
        pending_lots: of an entry that is on its way.
        close_ticks: last close.
        lot_value: quanta of one tick times one lot.
        manifest_hash, rule, stop_atr: of the terms; empty, None and 0 for none.
        due: whether it decides now; otherwise it only counts with what it holds.
        has_bar: whether its bar closed at the boundary.
        quoted: whether an order can be sent against a fresh quote.
        refusal: why it may not enter; empty when it may.
    """

    state: MarketState
    lots: int
    leaving: str
    pending_lots: int
    close_ticks: int
    lot_value: int
    manifest_hash: str
    rule: SignalRule | None
    stop_atr: float
    due: bool
    has_bar: bool
    quoted: bool
    refusal: str


class Decided(NamedTuple):
    """What came of it.

    Attributes:
        account: that the allocation was given.
        markets: those that decided, by index.
        entries: indices of markets to enter, strongest first.
    """

    account: AccountState
    markets: tuple[MarketDecision, ...]
    entries: tuple[int, ...]


def decide_markets(views: Sequence[MarketView], features: Features, equity: int, terms: Terms | None) -> Decided:
    """Every market that is due decides once; wanted entries share what is free.

    A position that exits at this decision frees its place and exposure; one whose exit was decided before and is not
    filled yet, and an entry that is on its way, keep theirs.

    Args:
        views: one a market.
        features: of the bars that closed.
        equity: cash and what is held at the closes, in quanta.
        terms: of the newest champion, which sizes entries; None: nothing is entered.
    """
    wants = wanted_sides(views, features)
    return decide_on_account(views, features, wants, _account(views, wants, equity), terms)


def wanted_sides(views: Sequence[MarketView], features: Features) -> list[int]:
    """What `decide` says of each market that is due; the others want what they hold."""
    return [_want(view, features, m) if view.due else view.state.position for m, view in enumerate(views)]


def decide_on_account(
    views: Sequence[MarketView], features: Features, wants: Sequence[int], account: AccountState, terms: Terms | None
) -> Decided:
    """What becomes of the wanted sides on a given account; arguments as those of `decide_markets`."""
    outcomes = [_outcome(view, want) for view, want in zip(views, wants, strict=True)]
    intents = np.array([want if one == "enter" else 0 for want, one in zip(wants, outcomes, strict=True)], np.int64)
    lots = np.zeros_like(intents)
    entries: tuple[int, ...] = ()
    if terms is not None and intents.any():
        strengths = np.array([_strength(view, features, m) for m, view in enumerate(views)])
        shares = np.zeros_like(intents)
        candidates = _candidates(views, features, intents, strengths)
        allocate(candidates, account, terms.limits, terms.contracts, lots, shares)
        for m in np.flatnonzero(intents).tolist():
            outcomes[m] = ALLOCATION_OUTCOMES[int(shares[m])]
            if outcomes[m] == "enter" and not views[m].quoted:
                outcomes[m] = "cancelled"
        ranked = np.lexsort((np.arange(len(lots)), -strengths)).tolist()
        entries = tuple(m for m in ranked if outcomes[m] == "enter")
    markets = tuple(_decision(m, view, wants[m], outcomes[m], int(lots[m])) for m, view in enumerate(views) if view.due)
    return Decided(account, markets, entries)


def _want(view: MarketView, features: Features, m: int) -> int:
    if view.rule is None:
        return view.state.position
    return int(decide(view.state, features.z_price[m], features.z_funding[m], view.rule))


def _account(views: Sequence[MarketView], wants: Sequence[int], equity: int) -> AccountState:
    """What the allocation may use, positions that exit now left out."""
    gross, kept = 0, 0
    for view, want in zip(views, wants, strict=True):
        exits = view.due and view.state.position != 0 and want == 0 and not view.leaving
        lots = 0 if exits else view.lots + view.pending_lots
        gross += lots * view.close_ticks * view.lot_value
        kept += lots > 0
    return AccountState(equity, gross, kept)


def _outcome(view: MarketView, want: int) -> str:
    """What is done about what is wanted; `enter` still has to find its place in the allocation."""
    if view.state.position != 0:
        if want != 0 or view.leaving:
            return "hold"
        assert view.rule is not None  # Without terms a position is kept.
        return "exit:max_holding" if view.state.bars_held >= view.rule.max_holding_bars else "exit:signal"
    if view.rule is None:
        return NO_CHAMPION
    return (view.refusal or "enter") if want else "flat"


def _strength(view: MarketView, features: Features, m: int) -> float:
    weight = 0.0 if view.rule is None else view.rule.funding_weight
    return abs(float(signal(features.z_price[m], features.z_funding[m], weight)))


def _candidates(views: Sequence[MarketView], features: Features, intents: Integers, strengths: Floats) -> Candidates:
    closes = np.array([view.close_ticks for view in views], np.int64)
    stopped = np.array([view.stop_atr > 0 for view in views])
    return Candidates(intents, strengths, closes, features.volatility, np.where(stopped, features.atr, 0.0))


def _decision(m: int, view: MarketView, want: int, outcome: str, lots: int) -> MarketDecision:
    before = (m, view.manifest_hash, view.state, view.lots, view.leaving, view.has_bar)
    return MarketDecision(*before, want, outcome, lots if outcome == "enter" else 0)

"""Which champion each market is traded on: a new one is taken over by each market as it becomes flat."""

from collections.abc import Sequence

from helios_pipeline.strategy.desk import Desk, FeatureSource
from helios_pipeline.strategy.holding import after_exit_decision
from helios_pipeline.strategy.market_book import MarketBook
from helios_pipeline.strategy.orders import Orders
from helios_pipeline.strategy.terms import Terms

TERMS_LOST = "terms_lost"
"""Why a position is left whose rules are not known any more: nothing would ever end it but its stop."""


class Tenure:
    """Puts markets on terms, and has their features made for them.

    Args:
        features: of the strategy.
        desk: who runs it.
        orders: that may still make a market a position.
    """

    def __init__(self, features: FeatureSource, desk: Desk, orders: Orders) -> None:
        self._features = features
        self._desk = desk
        self._orders = orders

    def restore(self, market: MarketBook) -> None:
        """Put a market as the journal left it, on the terms it was last decided on."""
        left = self._desk.restored(market.index)
        if left is None:
            return
        market.restore(left)
        if left.manifest_hash:
            market.terms = self._desk.terms_of(left.manifest_hash)
            self._use(market)
        self.leave_without_terms(market)

    def leave_without_terms(self, market: MarketBook) -> None:
        """Let a position be left that has no terms: restored without them, or filled when they were gone."""
        if market.terms is None:
            market.holding = after_exit_decision(market.holding, TERMS_LOST)

    def take_over(self, markets: Sequence[MarketBook], terms: Terms | None) -> None:
        """Let markets that are flat go on with the champion of now; the others keep theirs until they are.

        Raises:
            JournalError: it could not be recorded.
        """
        taken = []
        for market in markets:
            if market.holding.side or self._orders.pending_entry(market):
                continue
            before = None if market.terms is None else market.terms.manifest_hash
            market.terms = terms if terms is not None and terms.traded[market.index] else None
            if market.terms is not None and market.terms.manifest_hash != before:
                self._use(market)
                taken.append(market.index)
        if taken and terms is not None:
            self._desk.took_over(terms.manifest_hash, taken)

    def _use(self, market: MarketBook) -> None:
        if market.terms is not None:
            self._features.use(market.index, market.terms.parameters.lookback_bars, market.terms.features)

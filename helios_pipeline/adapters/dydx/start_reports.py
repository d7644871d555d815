"""All that is in force of an account, as NautilusTrader's reports: what its start is reconciled with."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal

from nautilus_trader.execution.reports import ExecutionMassStatus, FillReport, OrderStatusReport

from helios_pipeline.adapters.dydx.account_ledger import AccountLedger
from helios_pipeline.adapters.dydx.order_ids import OrderFlags
from helios_pipeline.adapters.dydx.reports import ReportWriter, fills_in_force
from helios_pipeline.adapters.dydx.working_orders import WorkingOrder
from helios_pipeline.core.trading import Intent, VenueFill
from helios_pipeline.core.venues import VenueOrder


@dataclass(frozen=True, slots=True)
class StartReports:
    """Reports of one moment.

    Attributes:
        writer: writes single reports.
        ledger: fills and intents.
        working: orders that are not known to be done, by venue order id.
        foreign: terms of those that are not ours, by venue order id.
    """

    writer: ReportWriter
    ledger: AccountLedger
    working: Mapping[str, WorkingOrder]
    foreign: Mapping[str, VenueOrder]

    def add_all(self, status: ExecutionMassStatus) -> None:
        """Add everything that is in force."""
        fills = self._fills()
        status.add_order_reports(self.orders())
        status.add_fill_reports([self.writer.fill(fill) for each in fills.values() for fill in each])
        status.add_position_reports(self.writer.positions())

    def add_strangers(self, status: ExecutionMassStatus, fills: list[VenueFill]) -> None:
        """Add fills of orders that nobody was told of.

        One of ours is told with all of its fills. Of another's order nothing but the fill is known, and more of it may
        come: each fill is told as an order of its own.
        """
        fills = [fill for fill in fills if fill.instrument_id in self.writer.instruments]
        names = {fill.venue_order_id for fill in fills if fill.client_order_id is not None}
        own = {name: [fill for fill in self.ledger.fills.values() if fill.venue_order_id == name] for name in names}
        others = [replace(each, venue_order_id=each.venue_fill_id) for each in fills if each.client_order_id is None]
        groups = [*own.values(), *([each] for each in others)]
        status.add_order_reports([self._of_fills(each) for each in groups])
        status.add_fill_reports([self.writer.fill(fill) for each in groups for fill in each])

    def orders(self) -> list[OrderStatusReport]:
        """Orders that positions are made of, in order of their first fill, then those that rest."""
        fills = self._fills()
        resting = [self._working(order, Decimal(0)) for order in self.resting() if order.venue_order_id not in fills]
        return [*(self._of_fills(each) for each in fills.values()), *filter(None, resting)]

    def fills(self) -> list[FillReport]:
        """Fills that positions are made of."""
        return [self.writer.fill(fill) for each in self._fills().values() for fill in each]

    def resting(self) -> list[WorkingOrder]:
        """Orders that the venue shows as open and keeps, whoever dies."""
        return [
            order
            for order in self.working.values()
            if order.flags is not OrderFlags.SHORT_TERM
            and order.shown is not None
            and order.shown.is_open
            and order.instrument_id in self.writer.instruments
            and self._terms(order) is not None
        ]

    def _of_fills(self, fills: list[VenueFill]) -> OrderStatusReport:
        """The order of some fills, oldest first: it still works, or these are all of it."""
        order = self.working.get(fills[0].venue_order_id)
        filled = sum((fill.quantity for fill in fills), Decimal(0))
        working = None if order is None else self._working(order, filled)
        return working or self.writer.done(fills)

    def _working(self, order: WorkingOrder, filled: Decimal) -> OrderStatusReport | None:
        terms = self._terms(order)
        return None if terms is None else self.writer.working(order, terms, filled)

    def _terms(self, order: WorkingOrder) -> Intent | VenueOrder | None:
        if order.client_order_id is None:
            return self.foreign.get(order.venue_order_id)
        return self.ledger.intents.get(order.client_order_id)

    def _fills(self) -> dict[str, list[VenueFill]]:
        """Fills in force by venue order id, in order of the first."""
        found: dict[str, list[VenueFill]] = defaultdict(list)
        for fill in fills_in_force(self.ledger.fills.values()):
            if fill.instrument_id in self.writer.instruments:
                found[fill.venue_order_id].append(fill)
        return found

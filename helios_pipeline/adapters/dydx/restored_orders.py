"""Orders of an earlier life whose end the journal does not know: they may still fill, so they are followed again."""

from collections.abc import Iterable
from decimal import Decimal

from helios_pipeline.adapters.dydx.account_ledger import AccountLedger
from helios_pipeline.adapters.dydx.market import Market, ticker_of
from helios_pipeline.adapters.dydx.order_ids import OrderFlags
from helios_pipeline.adapters.dydx.order_messages import OrderName
from helios_pipeline.adapters.dydx.working_orders import ShownOrder, WorkingOrder
from helios_pipeline.core.trading import Intent
from helios_pipeline.core.venues import VenueOrder


def restore_working(
    ledger: AccountLedger, markets: dict[str, Market], owner: tuple[str, int], last_block: int
) -> list[WorkingOrder]:
    """Orders of all intents that are not known to be over.

    Args:
        ledger: what the journal knows.
        markets: by ticker.
        owner: address and subaccount.
        last_block: a block after the last one that may include anything sent before now.
    """
    found = []
    for intent in ledger.intents.values():
        market = markets.get(ticker_of(intent.instrument_id))
        if market is None or intent.client_order_id in ledger.closed:
            continue
        order = _working(intent, market, owner, last_block)
        order.filled = ledger.filled(order.venue_order_id)
        if order.filled < order.quantity:
            found.append(order)
    return found


def foreign_orders(
    shown: Iterable[VenueOrder], ours: Iterable[str], flags: dict[str, OrderFlags]
) -> list[WorkingOrder]:
    """Open orders of the account that the journal knows nothing of, so that they can be seen and canceled.

    Args:
        shown: all open orders.
        ours: venue order ids of those that are followed already.
        flags: by venue order id, how the chain keeps each.
    """
    known = set(ours)
    return [
        WorkingOrder(
            client_order_id=None,
            venue_order_id=order.venue_order_id,
            instrument_id=order.instrument_id,
            flags=flags[order.venue_order_id],
            client_id=order.venue_client_id,
            quantity=order.quantity,
            last_block=order.good_til_block or 0,
            filled=order.filled,
            shown=ShownOrder(status="OPEN", filled=order.filled, reason=""),
        )
        for order in shown
        if order.venue_order_id not in known
    ]


def _working(intent: Intent, market: Market, owner: tuple[str, int], last_block: int) -> WorkingOrder:
    flags = _flags(intent)
    name = OrderName(
        address=owner[0],
        subaccount=owner[1],
        client_id=intent.venue_client_id,
        clob_pair_id=market.clob_pair_id,
        flags=flags,
    )
    return WorkingOrder(
        client_order_id=intent.client_order_id,
        venue_order_id=name.venue_order_id,
        instrument_id=intent.instrument_id,
        flags=flags,
        client_id=intent.venue_client_id,
        quantity=intent.quantity,
        last_block=intent.good_til_block or last_block,
        filled=Decimal(0),
    )


def _flags(intent: Intent) -> OrderFlags:
    """How the chain keeps what was intended."""
    if intent.kind == "stop_market":
        return OrderFlags.CONDITIONAL
    immediate = intent.kind == "market" or intent.good_til_block is not None
    return OrderFlags.SHORT_TERM if immediate else OrderFlags.LONG_TERM

"""Whether an account can be left alone: nothing under way, and every position with the stop that it should have."""

from collections.abc import Iterable, Iterator

from helios_pipeline.execution.books import Books
from helios_pipeline.strategy.market_book import MarketBook


def unfinished(books: Books, markets: Iterable[MarketBook]) -> Iterator[str]:
    """What a graceful stop should wait for, a line each.

    Args:
        books: of the account.
        markets: of the strategy.
    """
    for line in books.unknown():
        yield f"order {line.client_order_id} has no answer yet"
    for line in books.open_orders():
        if line.intent is not None and line.intent.purpose == "entry":
            yield f"entry {line.client_order_id} may still fill"
    for market in markets:
        traded, terms = str(market.traded.id), market.terms
        held = abs(books.quantity(traded))
        if not held or terms is None or not terms.parameters.stop_atr:
            continue
        stops = [line for line in books.open_orders(traded) if line.intent is not None and line.intent.trigger_price]
        if not any(line.remaining == held for line in stops):
            yield f"{traded}: {held} held without a stop of that size"

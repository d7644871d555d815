"""The steps of dYdX's contracts."""

from collections.abc import Sequence
from decimal import Decimal

from helios_pipeline.adapters.dydx.indexer import DydxIndexer
from helios_pipeline.adapters.dydx.market import read_market, ticker_of
from helios_pipeline.core.errors import VenueError
from helios_pipeline.core.venues import ContractSize


def dydx_sizes(url: str, instrument_ids: Sequence[str]) -> dict[str, ContractSize]:
    """Steps by instrument id. The smallest order is one lot, whatever it is worth.

    Raises:
        UnreachableError: the indexer does not answer.
        VenueError: it lists no such contract.
    """
    with DydxIndexer(url, "", 0) as indexer:
        listed = indexer.markets()
    sizes = {}
    for instrument_id in instrument_ids:
        ticker = ticker_of(instrument_id)
        if ticker not in listed:
            raise VenueError(
                f"dYdX: expected a market {ticker}, found {len(listed)} others. "
                "Correct live_instruments in helios.toml."
            )
        market = read_market(listed[ticker])
        sizes[instrument_id] = ContractSize(
            tick=market.tick, lot=market.step, min_quantity=market.step, min_notional_quote=Decimal(0)
        )
    return sizes

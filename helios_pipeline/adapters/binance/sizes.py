"""The steps of Binance's USD-M contracts."""

from collections.abc import Sequence
from decimal import Decimal

from helios_pipeline.adapters.binance.rest import BinanceRest, RestSettings
from helios_pipeline.core.errors import VenueError
from helios_pipeline.core.venues import ContractSize


def binance_sizes(url: str, instrument_ids: Sequence[str]) -> dict[str, ContractSize]:
    """Steps by instrument id.

    Raises:
        DataError: the venue does not answer.
        VenueError: it lists no such contract.
    """
    with BinanceRest(RestSettings(base_url=url, attempts=3, backoff_seconds=0.5, timeout_seconds=10.0)) as rest:
        listed = rest.filters()
    sizes = {}
    for instrument_id in instrument_ids:
        symbol = instrument_id.rpartition(".")[0].removesuffix("-PERP")
        if symbol not in listed:
            raise VenueError(
                f"Binance: expected a contract {symbol}, found {len(listed)} others. "
                "Correct live_instruments in helios.toml."
            )
        filters = listed[symbol]
        sizes[instrument_id] = ContractSize(
            tick=Decimal(str(filters["PRICE_FILTER"]["tickSize"])),
            lot=Decimal(str(filters["LOT_SIZE"]["stepSize"])),
            min_quantity=Decimal(str(filters["LOT_SIZE"]["minQty"])),
            min_notional_quote=Decimal(str(filters["MIN_NOTIONAL"]["notional"])),
        )
    return sizes

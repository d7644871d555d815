"""NautilusTrader's dYdX data client: quotes, trades, book, oracle and funding of its markets."""

from typing import TYPE_CHECKING, Any

from helios_pipeline.adapters.dydx.addresses import MAINNET_CHAIN, DydxAddresses

if TYPE_CHECKING:
    from nautilus_trader.adapters.dydx import DydxDataClientConfig, DydxLiveDataClientFactory


def dydx_data_client(
    addresses: DydxAddresses, instrument_ids: tuple[str, ...]
) -> "tuple[DydxDataClientConfig, type[DydxLiveDataClientFactory]]":
    """Configuration and factory of a data client, for `data_clients["DYDX"]` of a node.

    Args:
        addresses: where the indexer is.
        instrument_ids: what will be heard; the client loads every market that there is, these among them.
    """
    from nautilus_trader.adapters.dydx import DydxDataClientConfig, DydxLiveDataClientFactory
    from nautilus_trader.config import InstrumentProviderConfig
    from nautilus_trader.core.nautilus_pyo3 import DydxNetwork
    from nautilus_trader.model.identifiers import InstrumentId

    _mend()
    for instrument_id in instrument_ids:
        InstrumentId.from_str(instrument_id)
    config = DydxDataClientConfig(
        environment=DydxNetwork.MAINNET if addresses.chain_id == MAINNET_CHAIN else DydxNetwork.TESTNET,
        base_url_http=addresses.http,
        base_url_ws=addresses.ws,
        instrument_provider=InstrumentProviderConfig(load_all=True),
    )
    return config, DydxLiveDataClientFactory


def _mend() -> None:
    """NautilusTrader 1.231 asks its compiled WebSocket client for `py_url`; there that is called `url`."""
    from nautilus_trader.core import nautilus_pyo3

    client: Any = nautilus_pyo3.DydxWebSocketClient  # type: ignore[attr-defined]
    if not hasattr(client, "py_url"):
        client.py_url = property(lambda self: self.url)

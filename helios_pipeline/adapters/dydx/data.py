"""NautilusTrader's dYdX data client: quotes, trades, book, oracle and funding of its markets."""

import asyncio
from typing import TYPE_CHECKING, Any

from helios_pipeline.adapters.dydx.addresses import MAINNET_CHAIN, DydxAddresses

if TYPE_CHECKING:
    from nautilus_trader.adapters.dydx import DydxDataClientConfig
    from nautilus_trader.cache.cache import Cache
    from nautilus_trader.common.component import LiveClock, MessageBus
    from nautilus_trader.live.factories import LiveDataClientFactory

_AGAIN_SECONDS = 1.0


def dydx_data_client(
    addresses: DydxAddresses, instrument_ids: tuple[str, ...]
) -> "tuple[DydxDataClientConfig, type[LiveDataClientFactory]]":
    """Configuration and factory of a data client, for `data_clients["DYDX"]` of a node.

    Args:
        addresses: where the indexer is.
        instrument_ids: what will be heard; the client loads every market that there is, these among them.
    """
    from nautilus_trader.adapters.dydx import DydxDataClientConfig
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
    return config, _factory()


def _factory() -> "type[LiveDataClientFactory]":
    from nautilus_trader.adapters.dydx.data import DydxDataClient
    from nautilus_trader.adapters.dydx.providers import DydxInstrumentProvider
    from nautilus_trader.core import nautilus_pyo3
    from nautilus_trader.live.factories import LiveDataClientFactory

    class PatientDydxDataClient(DydxDataClient):
        """Connects again to a venue that does not answer at first; NautilusTrader's gives up for good."""

        async def _connect(self) -> None:
            while True:
                try:
                    await super()._connect()
                except (ValueError, RuntimeError, OSError) as error:
                    self._log.warning(f"dYdX data: expected to connect, found this; it is tried again. {error}")
                    await asyncio.sleep(_AGAIN_SECONDS)
                else:
                    return

    class DydxDataClientFactory(LiveDataClientFactory):
        """Makes a client with connections of its own: NautilusTrader's factory keeps those of the last node."""

        @staticmethod
        def create(
            loop: asyncio.AbstractEventLoop,
            name: str,
            config: Any,  # noqa: ANN401 - DydxDataClientConfig, where the base class has that of all venues
            msgbus: "MessageBus",
            cache: "Cache",
            clock: "LiveClock",
        ) -> PatientDydxDataClient:
            """Make it, in the node that calls this."""
            http = nautilus_pyo3.DydxHttpClient(  # type: ignore[attr-defined]
                base_url=config.base_url_http, network=config.environment
            )
            provider = DydxInstrumentProvider(client=http, config=config.instrument_provider)
            return PatientDydxDataClient(loop, http, msgbus, cache, clock, provider, config, name)

    return DydxDataClientFactory


def _mend() -> None:
    """NautilusTrader 1.231 asks its compiled WebSocket client for `py_url`; there that is called `url`."""
    from nautilus_trader.core import nautilus_pyo3

    client: Any = nautilus_pyo3.DydxWebSocketClient  # type: ignore[attr-defined]
    if not hasattr(client, "py_url"):
        client.py_url = property(lambda self: self.url)

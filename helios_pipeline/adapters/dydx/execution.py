"""Configuration and factory of the dYdX execution client, for `exec_clients["DYDX"]` of a NautilusTrader node."""

from decimal import Decimal
from typing import TYPE_CHECKING, ClassVar

from helios_pipeline.adapters.dydx.addresses import MAINNET_CHAIN, DydxAddresses
from helios_pipeline.adapters.dydx.key import DydxKey
from helios_pipeline.adapters.dydx.trading import Trading
from helios_pipeline.core.venues import AccountHistory, RecordSink

if TYPE_CHECKING:
    import asyncio

    from nautilus_trader.cache.cache import Cache
    from nautilus_trader.common.component import LiveClock, MessageBus
    from nautilus_trader.config import LiveExecClientConfig
    from nautilus_trader.live.factories import LiveExecClientFactory

    from helios_pipeline.adapters.dydx.execution_client import DydxExecutionClient


def dydx_execution_client(
    addresses: DydxAddresses,
    key: DydxKey,
    sink: RecordSink,
    history: AccountHistory,
    slippage_bps: Decimal,
    good_til_blocks: int,
) -> "tuple[LiveExecClientConfig, type[LiveExecClientFactory]]":
    """Configuration and factory of an execution client.

    The configuration holds no secret, so it may be logged. The factory's `client` is the client once the node is built.

    Args:
        addresses: of the venue.
        key: that signs.
        sink: where what the venue says is written first.
        history: what the journal knows at the start.
        slippage_bps: most that a market order may pay beyond the best or the oracle price.
        good_til_blocks: blocks in which an order must be included, 1 to 40.
    """
    # Seconds to load, and only who trades needs them.
    from nautilus_trader.adapters.dydx.providers import DydxInstrumentProvider
    from nautilus_trader.config import InstrumentProviderConfig, LiveExecClientConfig
    from nautilus_trader.core import nautilus_pyo3
    from nautilus_trader.live.factories import LiveExecClientFactory

    from helios_pipeline.adapters.dydx.execution_client import DydxExecutionClient, NodeParts

    trading = Trading(
        addresses=addresses,
        key=key,
        sink=sink,
        history=history,
        slippage_bps=slippage_bps,
        good_til_blocks=good_til_blocks,
    )
    network = nautilus_pyo3.DydxNetwork

    class DydxExecutionClientFactory(LiveExecClientFactory):
        """Makes the client of this account."""

        client: "ClassVar[DydxExecutionClient | None]" = None

        @classmethod
        def create(
            cls,
            loop: "asyncio.AbstractEventLoop",
            name: str,
            config: LiveExecClientConfig,
            msgbus: "MessageBus",
            cache: "Cache",
            clock: "LiveClock",
        ) -> DydxExecutionClient:
            """Make it, in the node that calls this."""
            http = nautilus_pyo3.DydxHttpClient(  # type: ignore[attr-defined]
                base_url=addresses.http,
                network=network.MAINNET if addresses.chain_id == MAINNET_CHAIN else network.TESTNET,
            )
            provider = DydxInstrumentProvider(client=http, config=config.instrument_provider)
            node = NodeParts(loop=loop, msgbus=msgbus, cache=cache, clock=clock)
            cls.client = DydxExecutionClient(name, node, provider, trading)
            return cls.client

    config = LiveExecClientConfig(instrument_provider=InstrumentProviderConfig(load_all=True))
    return config, DydxExecutionClientFactory

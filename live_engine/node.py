"""NautilusTrader's node, put together from a venue's parts: clients, settings, and a life that its owner controls.

Its start fails without a word: on a time-out `is_running` of the node is true and its trader was never started. So
`await_trading` asks the trader. Its own checks of orders and positions are off: the venue clients resolve what is
unknown, and would be contradicted by a check that takes an unknown order for a refused one.
"""

import asyncio
from collections.abc import Iterable
from pathlib import Path

from nautilus_trader.cache.config import CacheConfig
from nautilus_trader.common.actor import Actor
from nautilus_trader.config import LiveExecEngineConfig, LoggingConfig, TradingNodeConfig
from nautilus_trader.live.node import TradingNode
from nautilus_trader.model.identifiers import TraderId
from nautilus_trader.trading.strategy import Strategy

from helios_pipeline.core.errors import EngineError
from live_engine.venues import DataParts, VenueParts

TRADER = TraderId("HELIOS-001")
CONNECT_SECONDS, RECONCILE_SECONDS, PORTFOLIO_SECONDS = 60.0, 30.0, 10.0
START_SECONDS = CONNECT_SECONDS + RECONCILE_SECONDS + PORTFOLIO_SECONDS + 10.0
DISCONNECT_SECONDS, RESIDUE_SECONDS = 3.0, 0.5
POLL_SECONDS = 0.05
NAUTILUS_LOG = "nautilus"


class Node:
    """A node on an event loop, started once.

    Args:
        loop: that it runs on.
        venue: what is traded.
        signals: the client that hears the venue whose prices decide.
        log_folder: where NautilusTrader's own log goes; standard output is ours.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, venue: VenueParts, signals: DataParts, log_folder: Path
    ) -> None:
        data = {parts.name: parts for parts in (signals, venue.data)}
        config = TradingNodeConfig(
            trader_id=TRADER,
            logging=LoggingConfig(
                log_level="OFF",
                log_level_file="WARNING",
                log_directory=str(log_folder),
                log_file_name=NAUTILUS_LOG,
                log_file_format="json",
                log_file_max_size=16 * 2**20,
                log_file_max_backup_count=4,
                log_colors=False,
            ),
            exec_engine=LiveExecEngineConfig(
                reconciliation=True,
                inflight_check_interval_ms=0,
                open_check_interval_secs=None,
                position_check_interval_secs=None,
            ),
            cache=CacheConfig(tick_capacity=1_000, bar_capacity=1_000),
            data_clients={name: parts.config for name, parts in data.items()},
            exec_clients={venue.execution.name: venue.execution.config},
            timeout_connection=CONNECT_SECONDS,
            timeout_reconciliation=RECONCILE_SECONDS,
            timeout_portfolio=PORTFOLIO_SECONDS,
            timeout_disconnection=DISCONNECT_SECONDS,
            timeout_post_stop=RESIDUE_SECONDS,
            timeout_shutdown=RESIDUE_SECONDS,
        )
        self.nautilus = TradingNode(config=config, loop=loop)
        self._loop = loop
        self._running: asyncio.Future[None] | None = None
        for name, parts in data.items():
            self.nautilus.add_data_client_factory(name, parts.factory)
        self.nautilus.add_exec_client_factory(venue.execution.name, venue.execution.factory)

    def build(self, strategy: Strategy, actors: Iterable[Actor]) -> None:
        """Make the clients; actors and strategy are added first, so that they hear everything."""
        for actor in actors:
            self.nautilus.trader.add_actor(actor)
        self.nautilus.trader.add_strategy(strategy)
        self.nautilus.build()

    @property
    def trader_running(self) -> bool:
        """Whether strategies run, which a node that runs does not say."""
        return bool(self.nautilus.trader.is_running)

    async def await_trading(self) -> None:
        """Start, and wait until the trader runs.

        Raises:
            EngineError: it does not come up: a venue does not answer, or its account could not be reconciled.
        """
        self._running = asyncio.ensure_future(self.nautilus.run_async())
        try:
            async with asyncio.timeout(START_SECONDS):
                while not self.trader_running:
                    if self._running.done() and (error := self._running.exception()) is not None:
                        raise EngineError(f"node: expected it to start, found: {error!r}.") from error
                    await asyncio.sleep(POLL_SECONDS)
        except TimeoutError:
            engines = self.nautilus.kernel
            found = [
                name
                for name, connected in (
                    ("market data", engines.data_engine.check_connected()),
                    ("orders", engines.exec_engine.check_connected()),
                )
                if not connected
            ]
            raise EngineError(
                f"node: expected trading to start within {START_SECONDS:g} s, found that it did not; not connected: "
                f"{', '.join(found) or 'nothing, but the account could not be reconciled'}. NautilusTrader's log says "
                "more."
            ) from None

    async def stop(self) -> None:
        """Stop the trader and let clients disconnect; positions and resting stops stay."""
        if self.nautilus.is_running():
            await self.nautilus.stop_async()
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)

    def dispose(self) -> None:
        """Release everything, the loop included; not from inside the loop."""
        left = asyncio.all_tasks(self._loop)
        for task in left:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        self.nautilus.dispose()

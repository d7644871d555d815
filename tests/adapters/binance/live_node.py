"""A NautilusTrader node with a data client of Binance, for tests; it runs while a test awaits something."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from nautilus_trader.config import LiveExecEngineConfig, LoggingConfig, TradingNodeConfig
from nautilus_trader.live.node import TradingNode

SECONDS = 120.0
"""In which whatever a test waits for has come; bars take 15 seconds each, and the machine may be busy."""


class RunningNode:
    """A node and the loop that it runs in.

    Attributes:
        client: its data client.
    """

    def __init__(self, node: TradingNode, loop: asyncio.AbstractEventLoop, client: object) -> None:
        self.node, self.client, self._loop = node, client, loop

    def until(self, holds: Callable[[], bool], told: Callable[[], object] = str) -> None:
        """Let the node run until something holds; what is `told` is in the error if it never does."""

        async def wait() -> None:
            try:
                async with asyncio.timeout(SECONDS):
                    while not holds():
                        await asyncio.sleep(0.01)
            except TimeoutError:
                raise AssertionError(f"not within {SECONDS:.0f} s: {told()}") from None

        self._loop.run_until_complete(wait())


@contextmanager
def running_node(parts: tuple[object, type], actors: Sequence[object], log_level: str = "OFF") -> Iterator[RunningNode]:
    """A started node with some actors; `parts` are configuration and factory of its client."""
    config, factory = parts
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    node = TradingNode(
        config=TradingNodeConfig(
            trader_id="HELIOS-001",
            logging=LoggingConfig(log_level=log_level, log_colors=False),
            exec_engine=LiveExecEngineConfig(reconciliation=False),
            data_clients={"BINANCE": config},
            timeout_connection=30,
            timeout_disconnection=3,
            timeout_post_stop=0.2,
            timeout_shutdown=1,
        ),
        loop=loop,
    )
    node.add_data_client_factory("BINANCE", factory)
    for actor in actors:
        node.trader.add_actor(actor)
    node.build()
    running = loop.create_task(node.run_async())
    client = node.kernel.data_engine._clients[next(iter(node.kernel.data_engine._clients))]
    live = RunningNode(node, loop, client)
    try:
        live.until(lambda: node.trader.is_running)
        yield live
    finally:
        loop.run_until_complete(node.stop_async())
        running.cancel()
        # Tasks that the node leaves behind would be found dead in the midst of a later test.
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        node.dispose()
        asyncio.set_event_loop(None)

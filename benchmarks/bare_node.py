"""A bare NautilusTrader node that sends an order when a bar has closed: what the engine's latency is measured against.

Run by `live_latency.py`. It has the same venue clients as the engine, and nothing between them: no gate, no journal, no
features. At the first trade of BTCUSDT past a bar's end it buys, at the next it sells.
"""

import asyncio
import os
import sys
from dataclasses import dataclass, field
from decimal import Decimal

from nautilus_trader.adapters.binance.common.enums import BinanceAccountType
from nautilus_trader.adapters.binance.config import BinanceDataClientConfig, BinanceInstrumentProviderConfig
from nautilus_trader.adapters.binance.factories import BinanceLiveDataClientFactory
from nautilus_trader.config import LiveExecEngineConfig, LoggingConfig, StrategyConfig, TradingNodeConfig
from nautilus_trader.live.node import TradingNode
from nautilus_trader.model.data import TradeTick
from nautilus_trader.model.enums import OrderSide
from nautilus_trader.model.identifiers import ClientOrderId, InstrumentId, TraderId
from nautilus_trader.model.objects import Quantity
from nautilus_trader.trading.strategy import Strategy

from helios_pipeline.adapters.dydx.addresses import DydxAddresses
from helios_pipeline.adapters.dydx.data import dydx_data_client
from helios_pipeline.adapters.dydx.execution import dydx_execution_client
from helios_pipeline.adapters.dydx.key import DydxKey
from helios_pipeline.core.trading import JournalRecord
from helios_pipeline.core.venues import AccountHistory

HEARD = InstrumentId.from_str("BTCUSDT-PERP.BINANCE")
TRADED = InstrumentId.from_str("BTC-USD-PERP.DYDX")
QUANTITY = "0.01"


@dataclass
class Memory:
    """Takes records and forgets them."""

    count: int = 0
    known: set[object] = field(default_factory=set)

    def append(self, record: JournalRecord) -> int | None:
        del record
        self.count += 1
        return self.count


class OrderPerBar(Strategy):
    """Sends a market order at the first trade past each bar's end."""

    def __init__(self, bar_seconds: int) -> None:
        super().__init__(StrategyConfig(strategy_id="Bare-001", external_order_claims=[TRADED]))
        self._bar_ns, self._bar, self._sent = bar_seconds * 1_000_000_000, 0, 0

    def on_start(self) -> None:
        self.subscribe_trade_ticks(HEARD)
        self.subscribe_quote_ticks(TRADED)
        self.subscribe_mark_prices(TRADED)

    def on_trade_tick(self, tick: TradeTick) -> None:
        bar = tick.ts_event // self._bar_ns
        if self._bar and bar > self._bar:
            self._sent += 1
            self.submit_order(
                self.order_factory.market(
                    TRADED,
                    OrderSide.BUY if self._sent % 2 else OrderSide.SELL,
                    Quantity.from_str(QUANTITY),
                    client_order_id=ClientOrderId(str(1_000 + self._sent)),
                )
            )
        self._bar = bar


def main() -> int:
    environment = os.environ
    addresses = DydxAddresses(
        http=environment["HELIOS_DYDX_URL"],
        ws=environment["HELIOS_DYDX_WS_URL"],
        grpc=environment["HELIOS_DYDX_GRPC"],
        grpc_tls=False,
        chain_id="dydx-mainnet-1",
        subaccount=0,
    )
    key = DydxKey.load(environment)
    nothing = AccountHistory(account="", intents=(), order_events=(), fills=(), funding=(), transfers=())
    data, data_factory = dydx_data_client(addresses, (str(TRADED),))
    execution, execution_factory = dydx_execution_client(addresses, key, Memory(), nothing, Decimal(100), 8)
    binance = BinanceDataClientConfig(
        account_type=BinanceAccountType.USDT_FUTURES,
        base_url_http=environment["HELIOS_BINANCE_URL"],
        base_url_ws=environment["HELIOS_BINANCE_WS_URL"],
        instrument_provider=BinanceInstrumentProviderConfig(load_ids=frozenset([HEARD])),
    )
    loop = asyncio.new_event_loop()
    config = TradingNodeConfig(
        trader_id=TraderId("BARE-001"),
        logging=LoggingConfig(log_level="WARNING"),
        data_clients={"BINANCE": binance, "DYDX": data},
        exec_clients={"DYDX": execution},
        exec_engine=LiveExecEngineConfig(inflight_check_interval_ms=0),
    )
    node = TradingNode(config, loop=loop)
    node.add_data_client_factory("BINANCE", BinanceLiveDataClientFactory)
    node.add_data_client_factory("DYDX", data_factory)
    node.add_exec_client_factory("DYDX", execution_factory)
    node.build()
    node.trader.add_strategy(OrderPerBar(int(sys.argv[1])))
    loop.run_until_complete(node.run_async())
    return 0


if __name__ == "__main__":
    sys.exit(main())

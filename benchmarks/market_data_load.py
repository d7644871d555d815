"""Market data under load: messages a second into the live client and the bar maker, beside a bare NautilusTrader node.

    .venv/bin/python -m benchmarks.market_data_load [--seconds 30] [--rate 6500]

A simulated Binance in a process of its own sends what an engine hears: trades, best prices, klines of a second and mark
prices of five busy instruments; with `--books` also their books. A node with NautilusTrader's own client hears them
first, then one with the live client, the bar maker and the stream monitor; each for so many seconds, in a process of
its own. Lag is counted from when a trade was due in the market until an actor has it. Budget: 5,000 messages a second
in all, no growing lag, whole bars. Ends with 1 if it is missed.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path

import aiohttp
import numpy as np
import psutil
import uvloop
from nautilus_trader.adapters.binance import factories
from nautilus_trader.common.actor import Actor
from nautilus_trader.common.config import ActorConfig
from nautilus_trader.config import LiveExecEngineConfig, LoggingConfig, TradingNodeConfig
from nautilus_trader.live.node import TradingNode
from nautilus_trader.model.data import BarType
from nautilus_trader.model.enums import BookType
from nautilus_trader.model.identifiers import InstrumentId

from benchmarks.venue_load import SYMBOLS, busy_market
from helios_pipeline.adapters.binance.history import BinanceHistory
from helios_pipeline.adapters.binance.live_client import binance_data_client
from live_engine.bar_maker import BarMaker, BarMakerSettings
from live_engine.journal import Journal
from live_engine.live_features import LiveFeatures
from live_engine.market_bars import bar_type
from live_engine.stream_monitor import StreamMonitor
from live_engine.warm_up import Reach, warm_up
from simulated_venues.binance.settings import BinanceSettings
from simulated_venues.process import venue_process
from simulated_venues.process_settings import ProcessSettings

ROOT = Path(__file__).parents[1]
LEAST_RATE, MOST_LAG_MS, MOST_GROWTH_MS = 5_000, 250.0, 50.0
NAMES = [f"{symbol}-PERP.BINANCE" for symbol in SYMBOLS]
BAR = timedelta(seconds=15)
SETTLE_SECONDS = 5.0
TRIED_TRADES_PER_DAY, TRIED_SECONDS = 300_000, 8.0


class Counter(Actor):
    """Hears everything, counts it, and notes the lag of trades in milliseconds."""

    def __init__(self, *, hears_books: bool) -> None:
        super().__init__(ActorConfig())
        self.hears_books = hears_books
        self.count, self.lags, self.bars = 0, [], 0

    def on_start(self) -> None:
        for name in NAMES:
            iid = InstrumentId.from_str(name)
            self.subscribe_trade_ticks(iid)
            self.subscribe_quote_ticks(iid)
            self.subscribe_mark_prices(iid)
            self.subscribe_bars(BarType.from_str(f"{iid}-1-SECOND-LAST-EXTERNAL"))
            if self.hears_books:
                self.subscribe_order_book_deltas(iid, book_type=BookType.L2_MBP, params={"update_speed": 100})
            self.msgbus.subscribe(topic=f"data.bars.{bar_type(name, BAR)}", handler=self.on_own_bar)

    def on_own_bar(self, _bar) -> None:
        self.bars += 1

    def on_trade_tick(self, tick) -> None:
        self.count += 1
        self.lags.append((time.time_ns() - tick.ts_event) / 1e6)

    def on_quote_tick(self, _tick) -> None:
        self.count += 1

    def on_mark_price(self, _mark) -> None:
        self.count += 1

    def on_bar(self, _bar) -> None:
        self.count += 1

    def on_order_book_deltas(self, _deltas) -> None:
        self.count += 1


def live_actors(url: str, folder: str) -> list[Actor]:
    """What an engine adds to the client."""
    history = BinanceHistory(url, attempts=3)
    reach = Reach(bars=20, max_gap_bars=3, settlements=5)
    warm_ups = [warm_up(history, name, BAR, reach, None) for name in NAMES]
    settings = BarMakerSettings(account="DYDX-paper", bar=BAR, patience=timedelta(seconds=10))
    journal = Journal.open(Path(folder), "DYDX-paper")
    features = LiveFeatures(NAMES, BAR, 100)
    return [
        BarMaker(settings, warm_ups, features, BinanceHistory(url, attempts=1), journal),
        StreamMonitor(NAMES, NAMES, BAR, {}, None),
    ]


async def listen(node: TradingNode, counter: Counter, seconds: float) -> dict[str, object]:
    running = asyncio.create_task(node.run_async())
    while counter.count < 1_000:
        await asyncio.sleep(0.05)
    await asyncio.sleep(SETTLE_SECONDS)
    process = psutil.Process()
    count, lags, began, cpu = counter.count, len(counter.lags), time.monotonic(), sum(process.cpu_times()[:2])
    await asyncio.sleep(seconds)
    took, used = time.monotonic() - began, sum(process.cpu_times()[:2]) - cpu
    heard = counter.count - count
    found = {"rate": heard / took, "core_share": used / took, "us_per_message": used / heard * 1e6}
    found |= {"lags": counter.lags[lags:], "bars": counter.bars}
    await node.stop_async()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    return found


def run_node(given: argparse.Namespace) -> dict[str, object]:
    """Hear the venue with one kind of node."""
    kind, url, ws_url = given.node, given.url, given.url.replace("http", "ws", 1)
    loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    config, factory = binance_data_client(url, ws_url, tuple(NAMES))
    counter = Counter(hears_books=given.books)
    with tempfile.TemporaryDirectory() as folder:
        actors = [counter, *live_actors(url, folder)] if kind == "live" else [counter]
        node = TradingNode(
            config=TradingNodeConfig(
                trader_id="HELIOS-001",
                logging=LoggingConfig(log_level="OFF"),
                exec_engine=LiveExecEngineConfig(reconciliation=False),
                data_clients={"BINANCE": config},
                timeout_disconnection=3,
                timeout_post_stop=0.2,
                timeout_shutdown=1,
            ),
            loop=loop,
        )
        node.add_data_client_factory("BINANCE", factory if kind == "live" else factories.BinanceLiveDataClientFactory)
        for actor in actors:
            node.trader.add_actor(actor)
        node.build()
        return loop.run_until_complete(listen(node, counter, given.seconds))


def hear(kind: str, venue, given: argparse.Namespace) -> dict[str, object]:
    """The same in a process of its own; with how much of a core the venue used meanwhile."""
    process = psutil.Process(venue.pid)
    began, before = time.monotonic(), sum(process.cpu_times()[:2])
    command = [sys.executable, "-m", "benchmarks.market_data_load", "--node", kind, "--seconds", str(given.seconds)]
    command += ["--books"] if given.books else []
    with tempfile.NamedTemporaryFile() as file:
        subprocess.run(
            [*command, "--url", venue.url, "--into", file.name], cwd=ROOT, check=True, timeout=given.seconds + 120
        )
        share = (sum(process.cpu_times()[:2]) - before) / (time.monotonic() - began)
        return json.loads(Path(file.name).read_text()) | {"venue_share": share}


def settings_of(trades_per_day: int) -> ProcessSettings:
    return ProcessSettings(venue=BinanceSettings(), market=busy_market(trades_per_day))


async def messages_a_second(ws_url: str) -> float:
    """What a venue sends of trades and best prices now: the market is busier at some hours than at others."""
    streams = "/".join(f"{symbol.lower()}@{stream}" for symbol in SYMBOLS for stream in ("aggTrade", "bookTicker"))
    count = 0
    async with aiohttp.ClientSession() as session, session.ws_connect(f"{ws_url}/stream?streams={streams}") as socket:
        await socket.receive()
        began = time.monotonic()
        async for _ in socket:
            count += 1
            if time.monotonic() - began >= TRIED_SECONDS:
                break
    return count / TRIED_SECONDS


def judge(found: dict[str, object]) -> tuple[str, bool]:
    """A line about a node, and whether it kept up."""
    lags = np.array(found["lags"])
    quarter = len(lags) // 4
    growth = float(np.median(lags[-quarter:]) - np.median(lags[:quarter]))
    half, most = np.percentile(lags, [50, 99])
    line = (
        f"{found['rate']:,.0f} messages/s, {found['core_share']:.2f} of a core, {found['us_per_message']:.0f} µs each "
        f"(the venue: {found['venue_share']:.2f}); lag p50 {half:.1f} ms, p99 {most:.1f} ms, last quarter "
        f"{growth:+.1f} ms against the first"
    )
    return line, found["rate"] >= LEAST_RATE and most <= MOST_LAG_MS and growth <= MOST_GROWTH_MS


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--rate", type=int, default=6_500, help="Messages a second, about, that the venue sends.")
    parser.add_argument("--books", action="store_true", help="Hear books too.")
    parser.add_argument("--node", choices=("bare", "live"), help="Only listen to a venue.")
    parser.add_argument("--url", help="With --node: the venue's.")
    parser.add_argument("--into", type=Path, metavar="FILE", help="With --node: where the figures go.")
    given = parser.parse_args()
    if given.node:
        given.into.write_text(json.dumps(run_node(given)))
        return 0
    with venue_process(settings_of(TRIED_TRADES_PER_DAY)) as venue:
        tried = asyncio.run(messages_a_second(venue.url.replace("http", "ws", 1)))
    with venue_process(settings_of(round(TRIED_TRADES_PER_DAY * given.rate / tried))) as venue:
        bare, live = hear("bare", venue, given), hear("live", venue, given)
    print(f"bare: {judge(bare)[0]}")
    line, keeps_up = judge(live)
    print(f"live: {line}; {live['bars']} bars")
    ratio = live["us_per_message"] / bare["us_per_message"]
    print(f"live / bare: {ratio:.2f} of the time a message; load average {psutil.getloadavg()[0]:.1f}")
    met = keeps_up and live["bars"] > 0
    print(f"{'met' if met else 'MISSED'}: at least {LEAST_RATE:,} messages/s, p99 of lag at most {MOST_LAG_MS:g} ms")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())

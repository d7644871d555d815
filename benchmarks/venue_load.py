"""A simulated Binance under load: messages a second and their delay; budget: 20 ms at the 99th percentile.

    .venv/bin/python benchmarks/venue_load.py [--seconds 20] [--connections 8]

The venue runs in a process of its own, in the fast world, with five busy instruments; the connections, each of which
hears everything, are in a few others. Two delays are counted until a message is received: since the venue stamped it
(`E`), and since its event was due in the market (`T`). Ends with 1 if the budget is missed.
"""

import argparse
import asyncio
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import aiohttp
import msgspec
import numpy as np
import psutil
import uvloop

from simulated_venues.binance.settings import BinanceSettings
from simulated_venues.process import venue_process
from simulated_venues.process_settings import ProcessSettings
from simulated_venues.settings import MarketSettings, SimulatedInstrument

ROOT = Path(__file__).parents[1]
BUDGET_MS, LEAST_RATE = 20.0, 5_000
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "LINKUSDT", "LTCUSDT")
STREAMS = ("aggTrade", "bookTicker", "depth@100ms", "kline_1m", "markPrice@1s")
WARM_UP_SECONDS = 3.0


class Stamps(msgspec.Struct):
    """The instants in a payload."""

    sent_ms: int = msgspec.field(name="E")
    due_ms: int | None = msgspec.field(name="T", default=None)
    kind: str = msgspec.field(name="e", default="")


class Message(msgspec.Struct):
    data: Stamps


DECODER = msgspec.json.Decoder(Message)


def busy_market(trades_per_day: int) -> MarketSettings:
    instrument = SimulatedInstrument(
        instrument_id="BTCUSDT-PERP.BINANCE",
        start_price=Decimal(40_000),
        tick=Decimal("0.1"),
        lot=Decimal("0.001"),
        daily_volatility=0.025,
        daily_volume=150_000.0,
        trades_per_day=trades_per_day,
    )
    return MarketSettings(
        seed=1,
        instruments=tuple(replace(instrument, instrument_id=f"{symbol}-PERP.BINANCE") for symbol in SYMBOLS),
        priced_at=datetime(2024, 1, 1, tzinfo=UTC),
        raw_interval_ms=1_000,
        factor_share=0.6,
        edge=0.0,
        edge_half_life=720.0,
    )


async def hear(url: str, until: float, since: float, delays: tuple[list[float], list[float]]) -> None:
    """Note the delays of one connection's messages, milliseconds."""
    streams = "/".join(f"{symbol.lower()}@{stream}" for symbol in SYMBOLS for stream in STREAMS)
    async with aiohttp.ClientSession() as session, session.ws_connect(f"{url}/stream?streams={streams}") as socket:
        async for message in socket:
            now = time.time()
            stamps = DECODER.decode(message.data).data
            if now >= since:
                delays[0].append(now * 1_000 - stamps.sent_ms)
                if stamps.due_ms is not None and stamps.kind != "markPriceUpdate":
                    delays[1].append(now * 1_000 - stamps.due_ms)
            if now >= until:
                return


async def hear_all(url: str, connections: int, seconds: float) -> tuple[list[float], list[float]]:
    """Delays of all messages that some connections get."""
    since = time.time() + WARM_UP_SECONDS
    delays: tuple[list[float], list[float]] = ([], [])
    await asyncio.gather(*(hear(url, since + seconds, since, delays) for _ in range(connections)))
    return delays


def hear_in_processes(url: str, given: argparse.Namespace) -> list[np.ndarray]:
    """The same with the connections spread over processes."""
    command = [sys.executable, __file__, "--listen", url.replace("http", "ws", 1), "--seconds", str(given.seconds)]
    shares = [len(range(k, given.connections, given.processes)) for k in range(given.processes)]
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder, str(k)) for k in range(min(given.processes, given.connections))]
        children = [
            subprocess.Popen([*command, "--connections", str(shares[k]), "--into", str(file)], cwd=ROOT)
            for k, file in enumerate(files)
        ]
        if sum(child.wait() for child in children):
            raise SystemExit("venue_load: a listening process failed; what it said is above.")
        found = [msgspec.json.decode(file.read_bytes()) for file in files]
    return [np.concatenate([each[kind] for each in found]) for kind in (0, 1)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--processes", type=int, default=4, help="Over which the connections are spread.")
    parser.add_argument("--trades-per-day", type=int, default=140_000)
    parser.add_argument("--listen", metavar="URL", help="Only listen to a venue there.")
    parser.add_argument("--into", type=Path, metavar="FILE", help="With --listen: where the delays go.")
    given = parser.parse_args()
    if given.listen:
        given.into.write_bytes(
            msgspec.json.encode(uvloop.run(hear_all(given.listen, given.connections, given.seconds)))
        )
        return 0
    settings = ProcessSettings(venue=BinanceSettings(), market=busy_market(given.trades_per_day))
    with venue_process(settings) as venue:
        process = psutil.Process(venue.pid)
        before, began = sum(process.cpu_times()[:2]), time.monotonic()
        since_sent, since_due = hear_in_processes(venue.url, given)
        share = (sum(process.cpu_times()[:2]) - before) / (time.monotonic() - began)
    rate = len(since_sent) / given.seconds
    print(f"{given.connections} connections, {rate:,.0f} messages/s received in all")
    print(
        f"the venue used {share:.2f} of a core; load average {psutil.getloadavg()[0]:.1f} on {psutil.cpu_count()} cores"
    )
    worst = []
    for name, delays in (("sent", since_sent), ("due", since_due)):
        half, most, longest = np.percentile(delays, [50, 99, 100])
        print(f"delay since {name}: p50 {half:.1f} ms, p99 {most:.1f} ms, longest {longest:.1f} ms")
        worst.append(most)
    met = rate >= LEAST_RATE and max(worst) <= BUDGET_MS
    print(f"{'met' if met else 'MISSED'}: at least {LEAST_RATE:,} messages/s, p99 at most {BUDGET_MS:g} ms")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())

"""Whether what a venue streams is what it later tells as history: bar for bar, to the last digit.

    .venv/bin/python benchmarks/live_equals_history.py [--minutes 10]

In the fast world, aggregate trades and closed klines are recorded from the streams. The trades, summed by seconds, and
the klines have to equal REST's klines then, those of a venue whose clock is a day ahead, and the files of its archive.
Ends with 1 if one row differs.
"""

import argparse
import asyncio
import csv
import io
import json
import sys
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import aiohttp

from benchmarks.venue_load import busy_market
from simulated_venues.binance.settings import BinanceSettings
from simulated_venues.binance.venue import BinanceVenue
from simulated_venues.market import SimulatedMarket
from simulated_venues.source import MarketSource

SYMBOL, INTERVALS = "BTCUSDT", ("1s", "1m")
SECOND_MS, DAY_MS, PAGE = 1_000, 86_400_000, 1_000
ROW_KEYS = ("t", "o", "h", "l", "c", "v", "T", "q", "n", "V", "Q")

Row = tuple[str, ...]
Rows = dict[int, Row]
"""Klines by their opening, each value as its text."""


@dataclass
class Recording:
    """What came through the streams: aggregate trades, and closed klines of each interval."""

    trades: list[dict] = field(default_factory=list)
    klines: dict[str, Rows] = field(default_factory=lambda: {interval: {} for interval in INTERVALS})

    def note(self, event: dict) -> None:
        if event["e"] == "aggTrade":
            self.trades.append(event)
        elif event["k"]["x"]:
            self.klines[event["k"]["i"]][event["k"]["t"]] = row_of(event["k"][key] for key in ROW_KEYS)


def row_of(values: Iterable[object]) -> Row:
    return tuple(str(value) for value in values)


async def record(ws_url: str, seconds: int) -> Recording:
    """Streams until so many klines of a second have closed."""
    streams = "/".join([f"{SYMBOL.lower()}@aggTrade", *(f"{SYMBOL.lower()}@kline_{each}" for each in INTERVALS)])
    recording = Recording()
    async with aiohttp.ClientSession() as session, session.ws_connect(f"{ws_url}/ws/{streams}") as socket:
        while len(recording.klines["1s"]) < seconds:
            recording.note(json.loads(await socket.receive_str(timeout=60)))
    return recording


def seconds_of(trades: list[dict]) -> Rows:
    """Klines of a second out of trades, the first and the last second left out, which may not be whole."""
    groups: dict[int, list[dict]] = {}
    for trade in trades:
        groups.setdefault(trade["T"] // SECOND_MS * SECOND_MS, []).append(trade)
    return {opened: sum_of(opened, groups[opened]) for opened in sorted(groups)[1:-1]}


def sum_of(opened: int, trades: list[dict]) -> Row:
    prices, quantities = [Decimal(each["p"]) for each in trades], [Decimal(each["q"]) for each in trades]
    taken = [(p, q) for p, q, each in zip(prices, quantities, trades, strict=True) if not each["m"]]
    no_quantity, no_money = quantities[0] * 0, prices[0] * quantities[0] * 0
    return row_of(
        (
            opened,
            prices[0],
            max(prices),
            min(prices),
            prices[-1],
            sum(quantities, no_quantity),
            opened + SECOND_MS - 1,
            sum((p * q for p, q in zip(prices, quantities, strict=True)), no_money),
            len(trades),
            sum((q for _, q in taken), no_quantity),
            sum((p * q for p, q in taken), no_money),
        )
    )


async def rest_klines(url: str, interval: str, first_ms: int, last_ms: int) -> Rows:
    """Klines that open in [first_ms, last_ms], page by page."""
    rows: Rows = {}
    async with aiohttp.ClientSession() as session:
        while first_ms <= last_ms:
            query = {"symbol": SYMBOL, "interval": interval, "startTime": first_ms, "endTime": last_ms, "limit": PAGE}
            async with session.get(f"{url}/fapi/v1/klines", params=query) as answer:
                page = await answer.json()
            rows |= {row[0]: row_of(row[:11]) for row in page}
            first_ms = page[-1][0] + 1 if len(page) == PAGE else last_ms + 1
    return rows


async def archive_klines(url: str, interval: str, first_ms: int, last_ms: int) -> Rows:
    """Klines that open in [first_ms, last_ms], from the daily files."""
    rows: Rows = {}
    day, last = (datetime.fromtimestamp(at // 1_000, UTC).date() for at in (first_ms, last_ms))
    async with aiohttp.ClientSession() as session:
        while day <= last:
            name = f"{SYMBOL}-{interval}-{day:%Y-%m-%d}"
            async with session.get(f"{url}/data/futures/um/daily/klines/{SYMBOL}/{interval}/{name}.zip") as answer:
                answer.raise_for_status()
                zipped = zipfile.ZipFile(io.BytesIO(await answer.read()))
            lines = csv.reader(io.TextIOWrapper(zipped.open(f"{name}.csv")))
            rows |= {int(line[0]): row_of(line[:11]) for line in lines if line[0].isdigit()}
            day += timedelta(days=1)
    return {opened: row for opened, row in rows.items() if first_ms <= opened <= last_ms}


def differences(live: Rows, history: Rows, name: str) -> list[str]:
    """What is not equal; every live row must be there, and none may be between them that was not live."""
    lines = []
    for opened in sorted(live.keys() | history.keys()):
        if live.get(opened) != history.get(opened):
            lines.append(f"{name} {opened}: live {live.get(opened)}, history {history.get(opened)}")
    return lines


async def compare(source: MarketSource, seconds: int) -> tuple[int, list[str]]:
    """How many rows were compared, and every difference."""
    live = BinanceVenue(source, BinanceSettings())
    tomorrow = BinanceVenue(source, BinanceSettings(), ahead_ms=DAY_MS)
    await live.start()
    await tomorrow.start()
    try:
        recording = await record(live.ws_url, seconds)
        pairs = [("trades by 1s", "1s", seconds_of(recording.trades))]
        pairs += [(f"klines {interval}", interval, rows) for interval, rows in recording.klines.items() if rows]
        count, found = 0, []
        for name, interval, rows in pairs:
            span = min(rows), max(rows)
            histories = {
                "REST": await rest_klines(live.url, interval, *span),
                "REST a day later": await rest_klines(tomorrow.url, interval, *span),
                "archive a day later": await archive_klines(tomorrow.url, interval, *span),
            }
            for where, history in histories.items():
                count += len(rows)
                found += differences(rows, history, f"{name} against {where}")
        return count, found
    finally:
        await live.stop()
        await tomorrow.stop()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    given = parser.parse_args()
    market = busy_market(trades_per_day=20_000)
    source = SimulatedMarket(replace(market, instruments=market.instruments[:1]))
    count, found = asyncio.run(compare(source, round(given.minutes * 60)))
    for line in found[:20]:
        print(line)
    print(f"{count} rows compared, {len(found)} differ")
    return 1 if found or not count else 0


if __name__ == "__main__":
    sys.exit(main())

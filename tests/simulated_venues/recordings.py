"""Recordings made from the simulated market, in the formats of the real ones, for tests without real data."""

import gzip
import json
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

from simulated_venues.archive_csv import funding_csv, klines_csv, metrics_csv
from simulated_venues.columns import to_instant, to_milliseconds
from simulated_venues.market import SimulatedMarket
from simulated_venues.replay.files import RecordedInstrument
from simulated_venues.settings import SimulatedInstrument
from simulated_venues.source import Book

STEP_MS = 100


def recorded(instrument: SimulatedInstrument) -> RecordedInstrument:
    """What a replay is told of an instrument."""
    return RecordedInstrument(
        instrument_id=instrument.instrument_id, symbol=instrument.symbol, tick=instrument.tick, lot=instrument.lot
    )


def write_days(root: Path, market: SimulatedMarket, first: datetime, days: int, *, metrics: bool = False) -> None:
    """Plain CSV files of whole days: klines of one and of fifteen minutes, one funding file, metrics where asked."""
    um = root / "data" / "futures" / "um"
    for instrument in market.instruments:
        symbol, name = instrument.symbol, instrument.instrument_id
        for day in (first + timedelta(days=k) for k in range(days)):
            for interval, raw_bars in (("1m", 1), ("15m", 15)):
                bars = market.bars(name, day, day + timedelta(days=1), raw_bars=raw_bars)
                path = um / "daily" / "klines" / symbol / interval / f"{symbol}-{interval}-{day:%Y-%m-%d}.csv"
                write(path, klines_csv(bars, instrument))
            if metrics:
                path = um / "daily" / "metrics" / symbol / f"{symbol}-metrics-{day:%Y-%m-%d}.csv"
                after = day + timedelta(minutes=5)
                measured = market.open_interest(name, after, after + timedelta(days=1))
                write(path, metrics_csv(measured, instrument))
        settled = market.settlements(name, first, first + timedelta(days=days))
        write(um / "monthly" / "fundingRate" / symbol / f"{symbol}-fundingRate-{first:%Y-%m}.csv", funding_csv(settled))


def write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def raw_lines(market: SimulatedMarket, instrument_id: str, first: datetime, last: datetime) -> list[bytes]:
    """Lines of a raw recording: trades, best prices a millisecond before, depth every 100 ms, and one snapshot."""
    instrument = next(i for i in market.instruments if i.instrument_id == instrument_id)
    trades, quotes = (read(instrument_id, first, last) for read in (market.trades, market.quotes))
    messages: list[tuple[int, int, dict[str, object]]] = []
    for i in range(len(trades)):
        at_ms = int(trades.traded_at_ms[i])
        best = {
            "u": int(quotes.update_id[i]),
            "b": price(instrument, quotes.bid[i]),
            "B": quantity(instrument, quotes.bid_quantity[i]),
            "a": price(instrument, quotes.ask[i]),
            "A": quantity(instrument, quotes.ask_quantity[i]),
        }
        messages.append((at_ms - 1, 1, stream(instrument, "bookTicker", at_ms - 1, best)))
        trade = {
            "t": int(trades.trade_id[i]),
            "p": price(instrument, trades.price[i]),
            "q": quantity(instrument, trades.quantity[i]),
            "X": "MARKET",
            "m": bool(trades.buyer_is_maker[i]),
        }
        messages.append((at_ms, 2, stream(instrument, "trade", at_ms, trade)))
    messages += depth_messages(market, instrument, first, last)
    messages.sort(key=lambda message: message[:2])
    return [f"{at_ms * 1_000_000} {json.dumps(message)}\n".encode() for at_ms, _, message in messages]


def depth_messages(
    market: SimulatedMarket, instrument: SimulatedInstrument, first: datetime, last: datetime
) -> list[tuple[int, int, dict[str, object]]]:
    begin, end = to_milliseconds(first), to_milliseconds(last)
    before = market.book(instrument.instrument_id, first)
    snapshot: dict[str, object] = {
        "lastUpdateId": before.update_id,
        "E": begin,
        "T": begin,
        "bids": levels(instrument, quantities(before)[0], {}),
        "asks": levels(instrument, quantities(before)[1], {}),
    }
    messages = [(begin, 0, snapshot)]
    for at_ms in range(begin + STEP_MS, end, STEP_MS):
        book = market.book(instrument.instrument_id, to_instant(at_ms))
        sides = zip(quantities(before), quantities(book), strict=True)
        bids, asks = (levels(instrument, now, then) for then, now in sides)
        ids = {"U": before.update_id, "u": book.update_id, "pu": before.update_id, "b": bids, "a": asks}
        messages.append((at_ms, 0, stream(instrument, "depthUpdate", at_ms, ids)))
        before = book
    return messages


def quantities(book: Book) -> list[dict[int, int]]:
    return [dict(zip(s.price.tolist(), s.quantity.tolist(), strict=True)) for s in (book.bids, book.asks)]


def levels(instrument: SimulatedInstrument, now: dict[int, int], then: dict[int, int]) -> list[list[str]]:
    """What changed from `then` to `now`; a level that went has quantity 0."""
    changed = {p: now.get(p, 0) for p in sorted(now.keys() | then.keys()) if now.get(p, 0) != then.get(p, 0)}
    return [[price(instrument, p), quantity(instrument, q)] for p, q in changed.items()]


def stream(instrument: SimulatedInstrument, kind: str, at_ms: int, data: dict[str, object]) -> dict[str, object]:
    name = f"{instrument.symbol.lower()}@{kind}"
    return {"stream": name, "data": {"e": kind, "E": at_ms, "T": at_ms, "s": instrument.symbol, **data}}


def price(instrument: SimulatedInstrument, ticks: int) -> str:
    return str(Decimal(int(ticks)) * instrument.tick)


def quantity(instrument: SimulatedInstrument, lots: int) -> str:
    return str(Decimal(int(lots)) * instrument.lot)


def write_raw(path: Path, lines: list[bytes]) -> Path:
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.writelines(lines)
    return path

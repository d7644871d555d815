"""A venue on loopback that publishes a simulated market as Binance does: an archive up to yesterday, REST up to now."""

import hashlib
import io
import json
import threading
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from helios_pipeline.core.calendar import days_of_month, next_month
from simulated_venues.archive import write_archive
from simulated_venues.archive_csv import klines_csv, metrics_csv, metrics_span
from simulated_venues.market import SimulatedMarket
from simulated_venues.settings import RAW_BARS_PER_BAR, SimulatedInstrument

type Query = dict[str, str]

DAY = timedelta(days=1)
RAW_BARS = {"1m": 1, "15m": RAW_BARS_PER_BAR}
UM = Path("data", "futures", "um")


def write_published(root: Path, market: SimulatedMarket, instruments: Sequence[str], *, now: datetime) -> None:
    """What the archive holds at an instant: the month before in monthly zips, this month's finished days in daily ones.

    As at the venue, funding rates of an unfinished month are not in the archive at all.
    """
    month = f"{now:%Y-%m}"
    before = next_month(month, -1)
    write_archive(root, market, instruments, (before, before), metrics_days=0, progress=lambda _done, _total: None)
    for each in instruments:
        instrument = market.settings.instrument(each)
        for day in [*days_of_month(before), *days_of_month(month)]:
            if day < now.date():
                folder = UM / "daily" / "metrics" / instrument.symbol
                publish(
                    root / folder / f"{instrument.symbol}-metrics-{day}.zip",
                    metrics_csv(market.open_interest(each, *metrics_span(day)), instrument),
                )
        for day in days_of_month(month):
            if day < now.date():
                _publish_klines(root, market, instrument, datetime(day.year, day.month, day.day, tzinfo=UTC))


def _publish_klines(root: Path, market: SimulatedMarket, instrument: SimulatedInstrument, day: datetime) -> None:
    for interval, raw_bars in RAW_BARS.items():
        folder = root / UM / "daily" / "klines" / instrument.symbol / interval
        csv = klines_csv(market.bars(instrument.instrument_id, day, day + DAY, raw_bars=raw_bars), instrument)
        publish(folder / f"{instrument.symbol}-{interval}-{day:%Y-%m-%d}.zip", csv)


def publish(path: Path, csv: bytes) -> None:
    """Put a zip with one CSV at a path of an archive, with its checksum."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr(zipfile.ZipInfo(f"{path.stem}.csv"), csv, compresslevel=1)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(buffer.getvalue())
    digest = hashlib.sha256(buffer.getvalue()).hexdigest()
    path.with_name(f"{path.name}.CHECKSUM").write_text(f"{digest}  {path.name}\n")


@dataclass(frozen=True, kw_only=True)
class RestOfMarket:
    """Binance's market-data endpoints over a simulated market, at this moment."""

    market: SimulatedMarket

    def answers(self) -> dict[str, Callable[[Query], object]]:
        """Path → answer of a query."""
        return {
            "/fapi/v1/time": lambda _: {"serverTime": _milliseconds(datetime.now(UTC))},
            "/fapi/v1/klines": self._klines,
            "/fapi/v1/fundingRate": self._funding_rates,
            "/fapi/v1/fundingInfo": lambda _: [],
            "/futures/data/openInterestHist": self._open_interest,
        }

    def _klines(self, query: Query) -> object:
        """The earliest of the span, the one that is open now among them."""
        instrument, raw_bars = self._instrument(query), RAW_BARS[query["interval"]]
        first, last = _span(query)
        span = min(last, first + timedelta(minutes=raw_bars) * int(query["limit"]))
        csv = klines_csv(self.market.bars(instrument.instrument_id, first, span, raw_bars=raw_bars), instrument)
        integers = (0, 6, 8)
        rows = [line.split(",") for line in csv.decode().splitlines()[1:]]
        return [[int(cell) if k in integers else cell for k, cell in enumerate(row)] for row in rows]

    def _funding_rates(self, query: Query) -> object:
        found = self.market.settlements(self._instrument(query).instrument_id, *_span(query))
        return [
            {
                "symbol": query["symbol"],
                "fundingTime": int(published),
                "fundingRate": f"{Decimal(int(rate)).scaleb(-8):.8f}",
                "markPrice": f"{mark:.8f}",
            }
            for published, rate, mark in zip(found.published_at_ms, found.rate_e8, found.mark_price, strict=True)
        ][: int(query["limit"])]

    def _open_interest(self, query: Query) -> object:
        """The latest of the span, as at the venue."""
        instrument = self._instrument(query)
        found = self.market.open_interest(instrument.instrument_id, *_span(query))
        return [
            {
                "symbol": query["symbol"],
                "sumOpenInterest": f"{int(lots) * instrument.lot:.8f}",
                "sumOpenInterestValue": f"{float(int(lots) * instrument.lot) * mark:.8f}",
                "timestamp": int(at),
            }
            for at, lots, mark in zip(found.measured_at_ms, found.open_interest, found.mark_price, strict=True)
        ][-int(query["limit"]) :]

    def _instrument(self, query: Query) -> SimulatedInstrument:
        by_symbol = {instrument.symbol: instrument for instrument in self.market.settings.instruments}
        return by_symbol[query["symbol"]]


@dataclass(frozen=True, kw_only=True)
class LocalVenue:
    """A venue that listens.

    Attributes:
        url: of archive and REST alike.
        asked: path of every request, in order.
    """

    url: str
    asked: list[str] = field(default_factory=list)


class _Loopback(ThreadingHTTPServer):
    daemon_threads = True
    root: Path
    answers: dict[str, Callable[[Query], object]]
    venue: LocalVenue


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Loopback

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        self.server.venue.asked.append(parts.path)
        answer = self.server.answers.get(parts.path)
        file = self.server.root / parts.path.lstrip("/")
        if answer is not None:
            self._send(200, json.dumps(answer(dict(parse_qsl(parts.query)))).encode())
        elif file.is_file():
            self._send(200, file.read_bytes())
        else:
            self._send(404, b"")

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def local_venue(root: Path, market: SimulatedMarket, instruments: Sequence[str]) -> Iterator[LocalVenue]:
    """Publish a market below a folder and serve it, with REST up to now, until the end of the block."""
    write_published(root, market, instruments, now=datetime.now(UTC))
    server = _Loopback(("127.0.0.1", 0), _Handler)
    server.root, server.answers = root, RestOfMarket(market=market).answers()
    server.venue = LocalVenue(url=f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server.venue
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _span(query: Query) -> tuple[datetime, datetime]:
    """From the start of a query to its end or now, which is included as the venue includes it."""
    now = _milliseconds(datetime.now(UTC))
    first, last = int(query["startTime"]), min(int(query.get("endTime", now)), now)
    return _instant(first), _instant(max(first, last + 1))


def _milliseconds(instant: datetime) -> int:
    return (instant - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def _instant(milliseconds: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)

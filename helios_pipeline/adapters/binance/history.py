"""What an engine reads of Binance before it hears it: raw klines and funding settlements up to now, over REST."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from helios_pipeline.adapters.binance.rest import KLINES_PER_CALL, BinanceRest, RestSettings
from helios_pipeline.core.errors import DataError
from helios_pipeline.core.market_data import Candle, Settlement, units
from helios_pipeline.core.records import Window

INTERVALS: Mapping[int, str] = {1: "1s", 60: "1m"}
"""Binance's names of raw klines, by their length in seconds."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BACKOFF_SECONDS, _TIMEOUT_SECONDS = 0.5, 10.0


class BinanceHistory:
    """`core.market_data.MarketHistory` of Binance USD-M. For one thread at a time."""

    def __init__(self, base_url: str, attempts: int) -> None:
        """Open the endpoint.

        Args:
            base_url: `https://fapi.binance.com`.
            attempts: tries of one request: several before the start, one where the caller asks again by itself.
        """
        self._rest = BinanceRest(
            RestSettings(
                base_url=base_url,
                attempts=attempts,
                backoff_seconds=_BACKOFF_SECONDS,
                timeout_seconds=_TIMEOUT_SECONDS,
            )
        )

    def close(self) -> None:
        """Close the connections."""
        self._rest.close()

    def now(self) -> datetime:
        """The venue's clock."""
        return self._rest.server_time()

    def klines(self, instrument_id: str, raw_seconds: int, first: datetime, last: datetime) -> list[Candle]:
        """Closed raw klines that open in [first, last), oldest first.

        Raises:
            DataError: the venue refuses or does not answer, or answers with something else than it documents.
        """
        # A window that ends with the last opening needs no further request to know that nothing follows.
        raw = timedelta(seconds=raw_seconds)
        last_opening = _EPOCH + (last - timedelta(microseconds=1) - _EPOCH) // raw * raw
        rows = self._rest.klines(
            _symbol(instrument_id),
            interval=INTERVALS[raw_seconds],
            window=Window(first=first, last=last_opening + timedelta(milliseconds=1)),
            per_call=min(max((last_opening - first) // raw + 1, 1), KLINES_PER_CALL),
        )
        return [_candle(instrument_id, row) for row in rows]

    def settlements(self, instrument_id: str, hour_seconds: int, first: datetime) -> list[Settlement]:
        """Settlements published since `first`, oldest first, each with the interval in force now.

        One that follows the one before by another interval is left out: the answer does not say what it was for.

        Args:
            instrument_id: whose.
            hour_seconds: length of the market's hour, to which stamps are floored.
            first: instant from which on.

        Raises:
            DataError: as `klines`.
        """
        symbol = _symbol(instrument_id)
        hours = self._rest.funding_interval_hours(symbol)
        window = Window(first=first, last=self.now() + timedelta(minutes=1))
        hour = timedelta(seconds=hour_seconds)
        found: list[Settlement] = []
        before: datetime | None = None
        for record in self._rest.funding_rates(symbol, window=window):
            published_at = _EPOCH + timedelta(milliseconds=int(str(record["fundingTime"])))
            settled_at = _EPOCH + (published_at - _EPOCH) // hour * hour
            if before is None or settled_at - before == hours * hour:
                rate = float(str(record["fundingRate"]))
                found.append(Settlement(settled_at=settled_at, rate=rate, interval_hours=hours))
            before = settled_at
        return found


def _symbol(instrument_id: str) -> str:
    return instrument_id.rpartition(".")[0].removesuffix("-PERP")


def _candle(instrument_id: str, row: object) -> Candle:
    """A row of `GET /fapi/v1/klines`."""
    match row:
        case [opened_ms, str(open_), str(high), str(low), str(close), str(volume), *_]:
            return Candle(
                opened_ms=int(str(opened_ms)),
                open=units(open_),
                high=units(high),
                low=units(low),
                close=units(close),
                volume=units(volume),
            )
    raise DataError(
        f"klines of {instrument_id}: expected rows of an opening, four prices and a volume, found {row!r}. "
        "Check the venue's address."
    )

"""The REST tail: what the public archive does not have yet, up to now."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from helios_pipeline.adapters.binance.retry import RetrySettings, with_retries
from helios_pipeline.core.errors import DataError
from helios_pipeline.core.records import Window

PUBLIC_REST_URL = "https://fapi.binance.com"

KLINES_PER_CALL = 1500
FUNDING_RATES_PER_CALL = 1000
OPEN_INTEREST_PER_CALL = 500
OPEN_INTEREST_DAYS = 30
"""The venue keeps open interest this long. All four: Binance USD-M market-data endpoints, as of 2026."""

USUAL_FUNDING_INTERVAL_HOURS = 8
"""`GET /fapi/v1/fundingInfo` lists only contracts whose interval, cap or floor differs from the usual."""

type Row = Sequence[object]
type Record = Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class RestSettings:
    """Where the REST endpoint is and how to ask it.

    Attributes:
        base_url: in place of `https://fapi.binance.com`.
        attempts: tries of one request.
        backoff_seconds: wait after a first failure; see `RetrySettings`.
        timeout_seconds: longest silence of the server.
    """

    base_url: str
    attempts: int
    backoff_seconds: float
    timeout_seconds: float


class BinanceRest:
    """Binance's USD-M market data through ccxt, which keeps to the venue's rate limits.

    Rows are as the venue gives them.

    Every method raises `DataError` when the venue refuses a request, or does not answer it after all attempts.
    """

    def __init__(self, settings: RestSettings) -> None:
        import ccxt  # seconds to load, and a run that the archive covers never asks

        self._retries = RetrySettings(attempts=settings.attempts, backoff_seconds=settings.backoff_seconds)
        self._url = settings.base_url.rstrip("/")
        self._exchange: Any = ccxt.binanceusdm(
            {"enableRateLimit": True, "timeout": round(settings.timeout_seconds * 1000)}
        )
        addresses = self._exchange.urls["api"]
        for name, url in addresses.items():
            if isinstance(url, str):
                addresses[name] = url.replace(PUBLIC_REST_URL, self._url)
        self._passing_error = ccxt.OperationFailed
        self._refusal = ccxt.BaseError

    def __enter__(self) -> "BinanceRest":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._exchange.session.close()

    def server_time(self) -> datetime:
        """The venue's clock."""
        answer = self._ask("time", self._exchange.fapiPublicGetTime, {})
        return datetime.fromtimestamp(int(answer["serverTime"]) / 1000, UTC)

    def klines(self, symbol: str, *, interval: str, window: Window, per_call: int = KLINES_PER_CALL) -> list[Row]:
        """Closed klines that open in a window.

        Args:
            symbol: Binance's name of the contract.
            interval: Binance's name of the interval.
            window: may reach into the future.
            per_call: most rows of one answer; the venue counts a request as heavier, the more it asks for.

        Returns:
            Rows of twelve columns as in the archive, sorted. A kline that is not over by the venue's clock is left out.
        """
        now = _milliseconds(self.server_time())
        rows = self._pages(
            f"klines of {symbol} {interval}",
            self._exchange.fapiPublicGetKlines,
            {"symbol": symbol, "interval": interval, "limit": per_call},
            window=window,
            stamp=lambda row: int(row[0]),
        )
        return [row for row in rows if int(row[6]) < now]

    def funding_rates(self, symbol: str, *, window: Window) -> list[Record]:
        """Settlements published in a window: fundingTime (ms), fundingRate, markPrice; sorted."""
        return self._pages(
            f"funding rates of {symbol}",
            self._exchange.fapiPublicGetFundingRate,
            {"symbol": symbol, "limit": FUNDING_RATES_PER_CALL},
            window=window,
            stamp=lambda record: int(record["fundingTime"]),
        )

    def funding_interval_hours(self, symbol: str) -> int:
        """The funding interval in force now."""
        listed = self._ask("funding intervals", self._exchange.fapiPublicGetFundingInfo, {})
        hours = {record["symbol"]: int(record["fundingIntervalHours"]) for record in listed}
        return hours.get(symbol, USUAL_FUNDING_INTERVAL_HOURS)

    def filters(self) -> dict[str, dict[str, Record]]:
        """Every contract's filters, symbol → filter type → filter."""
        listed = self._ask("contracts", self._exchange.fapiPublicGetExchangeInfo, {})["symbols"]
        return {each["symbol"]: {entry["filterType"]: entry for entry in each["filters"]} for each in listed}

    def open_interest(self, symbol: str, *, window: Window) -> list[Record]:
        """Five-minute open interest in a window: timestamp (ms), sumOpenInterest, sumOpenInterestValue; sorted.

        The venue keeps 30 days; earlier instants are left out.
        """
        now = self.server_time()
        kept_since = now - timedelta(days=OPEN_INTEREST_DAYS) + timedelta(minutes=5)
        return self._pages(
            f"open interest of {symbol}",
            self._exchange.fapiDataGetOpenInterestHist,
            {"symbol": symbol, "period": "5m", "limit": OPEN_INTEREST_PER_CALL},
            window=Window(first=max(window.first, kept_since), last=min(window.last, now)),
            stamp=lambda record: int(record["timestamp"]),
            # Of a longer span this endpoint gives the latest rows, not the earliest.
            span=timedelta(minutes=5) * OPEN_INTEREST_PER_CALL,
        )

    def _pages(
        self,
        what: str,
        call: Callable[[dict[str, object]], Any],
        parameters: Mapping[str, object],
        *,
        window: Window,
        stamp: Callable[[Any], int],
        span: timedelta | None = None,
    ) -> list[Any]:
        """All rows with a stamp in a span of time, asked for from the earliest on, if need be in pieces of `span`."""
        start, end = _milliseconds(window.first), _milliseconds(window.last) - 1
        rows: list[Any] = []
        while start <= end:
            page_end = end if span is None else min(end, start + span // timedelta(milliseconds=1) - 1)
            page = self._ask(what, call, {**parameters, "startTime": start, "endTime": page_end})
            fresh = sorted((row for row in page if start <= stamp(row) <= page_end), key=stamp)
            rows += fresh
            if not fresh and page_end == end:
                break
            start = stamp(fresh[-1]) + 1 if fresh else page_end + 1
        return rows

    def _ask(self, what: str, call: Callable[[dict[str, object]], Any], parameters: dict[str, object]) -> Any:  # noqa: ANN401
        """One request; what comes back is the venue's JSON."""
        where = f"{self._url}: {what}"
        try:
            return with_retries(
                lambda: call(parameters),
                settings=self._retries,
                passing=lambda error: isinstance(error, self._passing_error),
                what=where,
            )
        except self._refusal as error:
            raise DataError(
                f"{where}: expected an answer, found the refusal {type(error).__name__}: {error}. Check that the "
                "contract is listed and the base URL right."
            ) from error


def _milliseconds(instant: datetime) -> int:
    return (instant - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)

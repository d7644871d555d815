import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from helios_pipeline.adapters.binance.rest import BinanceRest, RestSettings
from helios_pipeline.core.errors import DataError
from helios_pipeline.core.records import Window

NOW = datetime(2024, 3, 10, 12, 0, 30, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
KLINES, FUNDING, INFO = "fapi/v1/klines", "fapi/v1/fundingRate", "fapi/v1/fundingInfo"
OPEN_INTEREST = "futures/data/openInterestHist"


def ms(instant: datetime) -> int:
    return round(instant.timestamp() * 1000)


def every(step: timedelta, query: dict[str, str]) -> list[int]:
    """Stamps of a series without end that a request covers, the earliest first."""
    length = step // timedelta(milliseconds=1)
    first = -(-int(query["startTime"]) // length) * length
    return list(range(first, min(int(query["endTime"]), ms(NOW)) + 1, length))


def kline(opened: int) -> list[object]:
    return [opened, "100.0", "101.0", "99.0", "100.5", "2.5", opened + 59_999, "250.0", 3, "1.5", "150.0", "0"]


@pytest.fixture
def venue(server) -> Iterator[BinanceRest]:
    """A client of a server whose market trades every minute, settles every 8 h and never ends."""
    server.answers = {
        "fapi/v1/time": lambda _: {"serverTime": ms(NOW)},
        KLINES: lambda q: [kline(at) for at in every(MINUTE, q)[: int(q["limit"])]],
        FUNDING: lambda q: [
            {"symbol": q["symbol"], "fundingTime": at + 3, "fundingRate": "0.0001", "markPrice": "100.25"}
            for at in every(timedelta(hours=8), q)[: int(q["limit"])]
        ],
        INFO: lambda _: [{"symbol": "LPTUSDT", "fundingIntervalHours": 4}],
        # The latest rows of the span, as at the venue.
        OPEN_INTEREST: lambda q: [
            {"symbol": q["symbol"], "sumOpenInterest": "5", "sumOpenInterestValue": "500", "timestamp": at}
            for at in every(timedelta(minutes=5), q)[-int(q["limit"]) :]
        ],
    }
    with client(server.url) as rest:
        yield rest


def client(url: str, *, attempts: int = 4) -> BinanceRest:
    return BinanceRest(RestSettings(base_url=url, attempts=attempts, backoff_seconds=0.01, timeout_seconds=5))


def test_klines_come_page_by_page_and_the_open_one_is_left_out(venue, server) -> None:
    first = NOW.replace(second=0) - 2000 * MINUTE

    rows = venue.klines("BTCUSDT", interval="1m", window=Window(first=first, last=NOW + timedelta(days=1)))

    assert [row[0] for row in rows] == [ms(first + k * MINUTE) for k in range(2000)]
    assert rows[-1] == [str(cell) if isinstance(cell, str) else cell for cell in kline(ms(NOW) - 90_000)]
    pages = [query for path, query in server.queries if path == KLINES]
    assert [int(page["startTime"]) for page in pages][:2] == [ms(first), ms(first + 1499 * MINUTE) + 1]
    assert {page["symbol"] for page in pages} == {"BTCUSDT"}


def test_a_window_ends_before_its_last_instant(venue) -> None:
    window = Window(first=NOW.replace(second=0) - 10 * MINUTE, last=NOW.replace(second=0) - 7 * MINUTE)

    rows = venue.klines("BTCUSDT", interval="1m", window=window)

    assert [row[0] for row in rows] == [ms(window.first + k * MINUTE) for k in range(3)]


def test_a_window_in_the_future_has_no_klines(venue) -> None:
    window = Window(first=NOW + timedelta(days=1), last=NOW + timedelta(days=2))

    assert venue.klines("BTCUSDT", interval="1m", window=window) == []


def test_funding_rates_come_with_mark_price(venue) -> None:
    window = Window(first=datetime(2024, 3, 1, tzinfo=UTC), last=NOW)

    rates = venue.funding_rates("BTCUSDT", window=window)

    assert len(rates) == 9 * 3 + 2
    assert rates[0] == {
        "symbol": "BTCUSDT",
        "fundingTime": ms(window.first) + 3,
        "fundingRate": "0.0001",
        "markPrice": "100.25",
    }


def test_the_funding_interval_is_the_listed_one_and_else_the_usual(venue) -> None:
    assert venue.funding_interval_hours("LPTUSDT") == 4
    assert venue.funding_interval_hours("BTCUSDT") == 8


def test_open_interest_reaches_back_thirty_days_without_holes(venue) -> None:
    rows = venue.open_interest("BTCUSDT", window=Window(first=datetime(2023, 1, 1, tzinfo=UTC), last=NOW))

    stamps = [row["timestamp"] for row in rows]
    assert {after - before for before, after in pairwise(stamps)} == {300_000}
    assert stamps[-1] == ms(NOW.replace(second=0))
    assert NOW - timedelta(days=30) < datetime.fromtimestamp(stamps[0] / 1000, UTC) < NOW - timedelta(days=29.9)


def test_passing_failures_are_tried_again(venue, server, fault) -> None:
    server.faults["fapi/v1/time"] = [fault(status=503), fault(status=429), fault(status=500)]

    assert venue.server_time() == NOW


def test_a_venue_that_never_recovers_is_named_after_the_last_attempt(server, fault) -> None:
    server.faults["fapi/v1/time"] = [fault(status=503)] * 2

    with client(server.url, attempts=2) as rest, pytest.raises(DataError, match=r"127\.0\.0\.1.*2 attempts"):
        rest.server_time()


def test_a_request_that_the_venue_refuses_is_not_repeated(venue, server, fault) -> None:
    refusal = fault(status=400, body=b'{"code": -1121, "msg": "Invalid symbol."}')
    server.faults[KLINES] = [refusal] * 3
    window = Window(first=NOW - timedelta(hours=1), last=NOW)

    with pytest.raises(DataError, match="klines of NOSUCH 1m: expected an answer, found the refusal BadSymbol"):
        venue.klines("NOSUCH", interval="1m", window=window)

    assert len(server.asked("klines")) == 1


def test_no_request_leaves_for_another_host(venue) -> None:
    addresses = [url for url in venue._exchange.urls["api"].values() if isinstance(url, str)]

    assert not [url for url in addresses if "fapi.binance.com" in url]


def recorded(real_data, name: str) -> list[dict]:
    return json.loads((real_data / "fixtures" / "binance_fapi" / name).read_text())


def test_recorded_answers_are_passed_on_as_they_are(server, real_data) -> None:
    def answer(name: str) -> object:
        return max((entry["response"] for entry in recorded(real_data, name) if entry["response"]), key=len)

    answers = {
        KLINES: answer("fapi_v1_klines.GET.json"),
        FUNDING: answer("fapi_v1_fundingRate.GET.json"),
        INFO: answer("fapi_v1_fundingInfo.GET.json"),
        OPEN_INTEREST: answer("futures_data_openInterestHist.GET.json"),
        "fapi/v1/time": {"serverTime": ms(NOW)},
    }
    server.answers = {path: lambda query, answer=answer: answer for path, answer in answers.items()}
    ever = Window(first=datetime(2020, 1, 1, tzinfo=UTC), last=NOW)

    with client(server.url) as rest:
        klines = rest.klines("LTCUSDT", interval="5m", window=ever)
        rates = rest.funding_rates("BTCUSDT", window=ever)
        interval = rest.funding_interval_hours("LPTUSDT")
        server.answers["fapi/v1/time"] = lambda _: {"serverTime": answers[OPEN_INTEREST][-1]["timestamp"] + 1}
        measured = rest.open_interest("LTCUSDT", window=ever)

    assert klines == answers[KLINES]
    assert rates == answers[FUNDING]
    assert interval == 4
    assert measured == answers[OPEN_INTEREST]

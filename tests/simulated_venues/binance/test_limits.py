import pytest

from simulated_venues.binance.limits import Limits, request_weight
from simulated_venues.binance.settings import BinanceSettings
from simulated_venues.clock import VenueClock
from simulated_venues.faults import Fault, Faults

HEADER = "X-MBX-USED-WEIGHT-1M"


class SetClock(VenueClock):
    """A clock that stands where it is set."""

    at_ms = 1_800_000_000_000 // 60_000 * 60_000

    def __init__(self):
        super().__init__(Faults("binance"))

    def now_ms(self):
        return SetClock.at_ms


@pytest.mark.parametrize(
    ("path", "query", "weight"),
    [
        ("/fapi/v1/klines", {"limit": "99"}, 1),
        ("/fapi/v1/klines", {"limit": "100"}, 2),
        ("/fapi/v1/klines", {}, 5),
        ("/fapi/v1/klines", {"limit": "1000"}, 5),
        ("/fapi/v1/klines", {"limit": "1500"}, 10),
        ("/fapi/v1/depth", {"limit": "50"}, 2),
        ("/fapi/v1/depth", {"limit": "100"}, 5),
        ("/fapi/v1/depth", {}, 10),
        ("/fapi/v1/depth", {"limit": "1000"}, 20),
        ("/fapi/v1/ticker/24hr", {"symbol": "BTCUSDT"}, 1),
        ("/fapi/v1/ticker/24hr", {}, 40),
        ("/fapi/v1/aggTrades", {}, 20),
        ("/fapi/v1/exchangeInfo", {}, 1),
        ("/fapi/v1/fundingRate", {}, 0),
        ("/futures/data/basis", {}, 0),
        ("/data/futures/um/daily/klines/BTCUSDT/1m/BTCUSDT-1m-2024-01-01.zip", {}, 0),
    ],
)
def test_weights_are_the_documented_ones(path, query, weight):
    assert request_weight(path, query) == weight


def test_a_client_is_told_its_weight_then_refused_then_banned(listen, market):
    with listen(market, BinanceSettings(weight_per_minute=12)) as venue:
        used = [venue.client.get("/fapi/v1/depth", params={"symbol": "BTCUSDT", "limit": 5}) for _ in range(6)]
        refused = venue.client.get("/fapi/v1/ping")
        *_, banned = [venue.client.get("/fapi/v1/ping") for _ in range(10)]
        archive = venue.client.get("/SIMULATED.json")

    assert [response.headers[HEADER] for response in used] == ["2", "4", "6", "8", "10", "12"]
    assert (refused.status_code, refused.json()["code"]) == (429, -1003)
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    assert (banned.status_code, banned.json()["code"]) == (418, -1003)
    assert "banned until" in banned.json()["msg"]
    assert int(banned.headers["Retry-After"]) == 120
    assert (archive.status_code, HEADER in archive.headers) == (200, False)


@pytest.mark.parametrize(("status", "code"), [(429, -1003), (418, -1003), (503, -1001), (500, -1001)])
def test_an_injected_status_comes_with_the_code_that_belongs_to_it(binance, status, code):
    binance.venue.faults.start(Fault(kind="http_status", where="/fapi/v1/ping", value=status, count=1))

    assert binance.refused("/fapi/v1/ping")[:2] == (status, code)


def test_a_new_minute_starts_anew_and_a_ban_outlives_it(monkeypatch):
    limits, start = Limits(2, SetClock()), SetClock.at_ms
    assert [limits.use("a", 1)[1] is None for _ in range(3)] == [True, True, False]
    assert limits.use("b", 1)[1] is None
    monkeypatch.setattr(SetClock, "at_ms", start + 60_000)
    assert [limits.use("a", 1)[1] is None for _ in range(3)] == [True, True, False]
    for _ in range(10):
        last = limits.use("a", 1)[1]
    assert last is not None
    assert last.status == 418

    monkeypatch.setattr(SetClock, "at_ms", start + 60_000 + 119_999)
    still = limits.use("a", 1)[1]
    monkeypatch.setattr(SetClock, "at_ms", start + 60_000 + 120_000)

    assert still is not None
    assert str(start + 180_000) in str(still)
    assert limits.use("a", 1)[1] is None

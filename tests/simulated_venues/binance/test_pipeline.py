"""The pipeline's own adapters against the venue: archive and REST of one address."""

from datetime import UTC, date, datetime, timedelta

import pytest

from helios_pipeline.adapters.binance.archive import ArchiveSettings, open_archive
from helios_pipeline.adapters.binance.archive_layout import MonthRequest
from helios_pipeline.adapters.binance.rest import BinanceRest, RestSettings
from helios_pipeline.core.records import Window

MINUTE = timedelta(minutes=1)


@pytest.fixture
def archive(binance, tmp_path):
    settings = ArchiveSettings(
        base_url=binance.url,
        cache_folder=tmp_path,
        concurrency=4,
        attempts=2,
        backoff_seconds=0.1,
        timeout_seconds=60,
    )
    with open_archive(settings) as opened:
        yield opened


@pytest.fixture
def rest(binance):
    settings = RestSettings(base_url=binance.url, attempts=2, backoff_seconds=0.1, timeout_seconds=60)
    with BinanceRest(settings) as opened:
        yield opened


def this_month(day: date) -> str:
    return f"{day:%Y-%m}"


def test_the_archive_says_whose_market_it_is(archive, market):
    assert archive.market_data_identity() == f"simulated seed 7 market {market.settings.digest[:8]}"


def test_finished_months_come_whole_and_this_one_by_days(archive):
    today = datetime.now(UTC).date()
    past = MonthRequest(kind="klines", symbol="BTCUSDT", month="2024-02", interval="15m")
    now = MonthRequest(kind="klines", symbol="BTCUSDT", month=this_month(today), interval="15m")
    funding = MonthRequest(kind="fundingRate", symbol="BTCUSDT", month=this_month(today))
    unknown = MonthRequest(kind="klines", symbol="NOSUCH", month="2024-02", interval="15m")

    plan = archive.plan([past, now, funding, unknown], today=today)
    archive.fetch(plan[past])

    assert [file.name for file in plan[past]] == ["BTCUSDT-15m-2024-02.zip"]
    assert [file.name for file in plan[now]] == [
        f"BTCUSDT-15m-{this_month(today)}-{day:02d}.zip" for day in range(1, today.day)
    ]
    assert plan[funding] == plan[unknown] == ()
    csv = archive.read_csv(plan[past][0]).decode().splitlines()
    assert len(csv) == 1 + 29 * 96


def test_the_rest_tail_goes_on_where_the_archive_ends(archive, rest):
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    yesterday = midnight - timedelta(days=1)
    request = MonthRequest(kind="klines", symbol="ETHUSDT", month=this_month(yesterday.date()), interval="1m")
    last = archive.plan([request], today=midnight.date())[request][-1]

    archived = [line.split(",") for line in archive.read_csv(last).decode().splitlines()[1:]]
    asked = rest.klines("ETHUSDT", interval="1m", window=Window(first=midnight - 1440 * MINUTE, last=midnight + MINUTE))

    rows = [[str(cell) for cell in row] for row in asked]
    assert rows[:1440] == archived[-1440:]
    assert [row[0] for row in rows[1440:]] in ([], [str(round(midnight.timestamp() * 1_000))])


def test_funding_and_open_interest_of_the_last_days(rest):
    now = rest.server_time()
    window = Window(first=now - timedelta(days=3), last=now)

    rates = rest.funding_rates("BTCUSDT", window=window)
    interest = rest.open_interest("BTCUSDT", window=window)

    assert len(rates) == 9
    assert len(interest) == 3 * 288
    assert rest.funding_interval_hours("BTCUSDT") == 8

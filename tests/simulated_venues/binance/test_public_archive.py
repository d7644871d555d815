import hashlib
import io
import subprocess
import sys
import threading
import xml.etree.ElementTree as ElementTree
import zipfile
from datetime import UTC, datetime, timedelta

import pytest

from simulated_venues.archive import write_archive

UM = "/data/futures/um"
S3 = "{http://s3.amazonaws.com/doc/2006-03-01/}"
DAY = "2024-03-10"
DAY_MS = 1_710_028_800_000


def today() -> datetime:
    return datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def lines(binance, path: str) -> list[list[str]]:
    """Rows of a published CSV, its header first."""
    response = binance.client.get(f"{UM}/{path}")
    assert response.status_code == 200, path
    with zipfile.ZipFile(io.BytesIO(response.content)) as archive:
        (name,) = archive.namelist()
        assert name == path.rpartition("/")[2].replace(".zip", ".csv")
        return [line.split(",") for line in archive.read(name).decode().splitlines()]


def listing(binance, **query: object):
    root = ElementTree.fromstring(binance.client.get("/", params=query).text)
    keys = [each.findtext(f"{S3}Key") for each in root.iter(f"{S3}Contents")]
    folders = [each.findtext(f"{S3}Prefix") for each in root.iter(f"{S3}CommonPrefixes")]
    return keys, folders, root.findtext(f"{S3}IsTruncated") == "true", root.findtext(f"{S3}NextMarker")


@pytest.mark.parametrize("interval", ["1m", "15m", "4h"])
def test_archived_klines_are_those_of_rest(binance, interval):
    header, *rows = lines(binance, f"daily/klines/BTCUSDT/{interval}/BTCUSDT-{interval}-{DAY}.zip")

    query = {"symbol": "BTCUSDT", "interval": interval, "startTime": DAY_MS, "endTime": DAY_MS + 86_399_999}
    asked = binance.get("/fapi/v1/klines", **query, limit=1500)
    assert header[:2] == ["open_time", "open"]
    assert rows == [[str(cell) for cell in row] for row in asked]


def test_a_month_of_klines_is_its_days_one_after_another(binance):
    header, *month = lines(binance, "monthly/klines/ETHUSDT/1h/ETHUSDT-1h-2024-02.zip")

    days = [lines(binance, f"daily/klines/ETHUSDT/1h/ETHUSDT-1h-2024-02-{day:02d}.zip") for day in range(1, 30)]
    assert all(day[0] == header for day in days)
    assert month == [row for day in days for row in day[1:]]
    assert len(month) == 29 * 24


def test_archived_trades_funding_and_metrics_are_those_of_rest(binance):
    _, *aggregates = lines(binance, f"daily/aggTrades/BTCUSDT/BTCUSDT-aggTrades-{DAY}.zip")
    _, *single = lines(binance, f"daily/trades/BTCUSDT/BTCUSDT-trades-{DAY}.zip")
    _, *funding = lines(binance, "monthly/fundingRate/BTCUSDT/BTCUSDT-fundingRate-2024-03.zip")
    _, *marks = lines(binance, f"daily/markPriceKlines/BTCUSDT/15m/BTCUSDT-15m-{DAY}.zip")
    yesterday = today() - timedelta(days=1)
    _, *metrics = lines(binance, f"daily/metrics/BTCUSDT/BTCUSDT-metrics-{yesterday:%Y-%m-%d}.zip")

    symbol = {"symbol": "BTCUSDT"}
    first = binance.get("/fapi/v1/aggTrades", **symbol, startTime=DAY_MS, limit=1000)
    assert aggregates[:1000] == [[str(each[key]) for key in "apqflT"] + [str(each["m"]).lower()] for each in first]
    assert [row[0] for row in single] == [row[0] for row in aggregates]
    assert {row[-1] for row in single} == {"true", "false"}
    month = round(datetime(2024, 3, 1, tzinfo=UTC).timestamp() * 1_000)
    rates = binance.get("/fapi/v1/fundingRate", **symbol, startTime=month, limit=93)
    assert funding == [[str(each["fundingTime"]), "8", each["fundingRate"]] for each in rates]
    asked = binance.get("/fapi/v1/markPriceKlines", **symbol, interval="15m", startTime=DAY_MS, limit=96)
    assert marks == [[str(cell) for cell in row] for row in asked]
    first_ms = round(yesterday.timestamp() * 1_000)
    measured = binance.get(
        "/futures/data/openInterestHist",
        **symbol,
        period="5m",
        startTime=first_ms + 1,
        endTime=first_ms + 86_400_000,
        limit=500,
    )
    assert [(float(row[2]), float(row[3])) for row in metrics] == [
        (float(each["sumOpenInterest"]), pytest.approx(float(each["sumOpenInterestValue"]))) for each in measured
    ]
    assert len(metrics) == 288


def test_a_file_is_there_when_its_day_or_month_is_over(binance):
    def status(path: str) -> int:
        return binance.client.get(f"{UM}/{path}").status_code

    now = today()
    yesterday, month = now - timedelta(days=1), now.replace(day=1)
    before = month - timedelta(days=1)

    assert status(f"daily/klines/BTCUSDT/1m/BTCUSDT-1m-{yesterday:%Y-%m-%d}.zip") == 200
    assert status(f"daily/klines/BTCUSDT/1m/BTCUSDT-1m-{now:%Y-%m-%d}.zip") == 404
    assert status(f"monthly/fundingRate/BTCUSDT/BTCUSDT-fundingRate-{before:%Y-%m}.zip") == 200
    assert status(f"monthly/fundingRate/BTCUSDT/BTCUSDT-fundingRate-{month:%Y-%m}.zip") == 404
    assert status("daily/klines/BTCUSDT/1m/BTCUSDT-1m-2020-01-01.zip") == 200
    assert status("daily/klines/BTCUSDT/1m/BTCUSDT-1m-2019-12-31.zip") == 404
    assert status("monthly/klines/BTCUSDT/1d/BTCUSDT-1d-2019-12.zip") == 404


@pytest.mark.parametrize(
    "path",
    [
        f"daily/klines/NOSUCH/1m/NOSUCH-1m-{DAY}.zip",
        f"daily/klines/BTCUSDT/7m/BTCUSDT-7m-{DAY}.zip",
        f"daily/klines/BTCUSDT/1s/BTCUSDT-1s-{DAY}.zip",
        f"daily/klines/BTCUSDT/1m/BTCUSDT-15m-{DAY}.zip",
        f"daily/fundingRate/BTCUSDT/BTCUSDT-fundingRate-{DAY}.zip",
        "monthly/metrics/BTCUSDT/BTCUSDT-metrics-2024-03.zip",
        "monthly/klines/BTCUSDT/1m/BTCUSDT-1m-2024-13.zip",
        "daily/klines/BTCUSDT/1m/BTCUSDT-1m-2024-03.zip",
    ],
)
def test_what_is_not_published_is_missing_in_the_buckets_words(binance, path):
    for name in (path, f"{path}.CHECKSUM"):
        response = binance.client.get(f"{UM}/{name}")

        assert response.status_code == 404
        assert ElementTree.fromstring(response.text).findtext("Code") == "NoSuchKey"


def test_a_download_can_go_on_where_it_stopped(binance):
    path = f"{UM}/daily/klines/BTCUSDT/15m/BTCUSDT-15m-{DAY}.zip"
    whole = binance.client.get(path).content

    rest = binance.client.get(path, headers={"Range": f"bytes={len(whole) // 2}-"})
    beyond = binance.client.get(path, headers={"Range": f"bytes={len(whole)}-"})

    assert (rest.status_code, rest.content) == (206, whole[len(whole) // 2 :])
    assert rest.headers["Content-Range"] == f"bytes {len(whole) // 2}-{len(whole) - 1}/{len(whole)}"
    assert beyond.status_code == 416
    assert binance.client.get(f"{path}.CHECKSUM").text == (
        f"{hashlib.sha256(whole).hexdigest()}  BTCUSDT-15m-{DAY}.zip\n"
    )


def test_a_file_is_hashed_once_and_not_by_the_thread_that_serves_all(binance, monkeypatch):
    path, threads, md5, sha256 = f"{UM}/daily/klines/ETHUSDT/30m/ETHUSDT-30m-{DAY}.zip", [], hashlib.md5, hashlib.sha256

    def noting(make):
        return lambda *args, **kwargs: threads.append(threading.current_thread().name) or make(*args, **kwargs)

    monkeypatch.setattr(hashlib, "md5", noting(md5))
    monkeypatch.setattr(hashlib, "sha256", noting(sha256))
    answers = [binance.client.get(path) for _ in range(2)]
    checksums = [binance.client.get(f"{path}.CHECKSUM").text for _ in range(2)]

    assert [name.rpartition("_")[0] for name in threads] == ["archive", "archive"]
    assert {each.headers["ETag"] for each in answers} == {f'"{md5(answers[0].content).hexdigest()}"'}
    assert {each.split()[0] for each in checksums} == {sha256(answers[0].content).hexdigest()}


def test_the_listing_leads_from_folder_to_folder_to_every_file(binance):
    def walk(prefix: str) -> list[str]:
        keys, folders, _, _ = listing(binance, prefix=prefix, delimiter="/")
        return keys + [key for folder in folders for key in walk(folder)]

    days = (today() - datetime(2020, 1, 1, tzinfo=UTC)).days
    metrics = "data/futures/um/daily/metrics/"
    pages, marker, truncated = [], "", True
    while truncated:
        keys, _, truncated, _ = listing(binance, prefix=metrics, marker=marker)
        pages.append(keys)
        marker = keys[-1]
    found = [key for page in pages for key in page]

    assert listing(binance, delimiter="/")[:2] == (["SIMULATED.json"], ["data/"])
    assert {len(page) for page in pages[:-1]} == {1_000}
    assert found == sorted(found)
    assert len(found) == len(set(found)) == 2 * 2 * days
    assert f"{metrics}BTCUSDT/BTCUSDT-metrics-{today() - timedelta(days=1):%Y-%m-%d}.zip.CHECKSUM" in found
    _, folders, _, _ = listing(binance, prefix="data/futures/um/monthly/klines/ETHUSDT/", delimiter="/")
    assert [folder.split("/")[-2] for folder in folders] == sorted(
        ["1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d"]
    )
    funding = walk("data/futures/um/monthly/fundingRate/")
    assert funding
    assert all(binance.client.head(f"/{key}").status_code == 200 for key in funding[-4:])


def test_a_listing_of_folders_is_cut_into_pages_as_well(binance):
    query = {"prefix": "data/futures/um/daily/klines/BTCUSDT/", "delimiter": "/", "max-keys": 5}
    first = listing(binance, **query)
    second = listing(binance, **query, marker=first[3])

    assert first[2]
    assert first[3] == first[1][-1]
    assert len(first[1]) == len(second[1]) == 5
    assert first[1] + second[1] == sorted({*first[1], *second[1]})


def test_served_files_are_the_written_ones(binance, market, tmp_path):
    write_archive(
        tmp_path, market, ["BTCUSDT-PERP.BINANCE"], ("2024-02", "2024-02"), metrics_days=1, progress=lambda *_: None
    )

    written = {str(path.relative_to(tmp_path)): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert len(written) == 1 + 2 * 4
    for path, content in written.items():
        assert binance.client.get(f"/{path}").content == content, path


def test_two_processes_serve_the_same_bytes():
    program = """
import hashlib, sys, httpx
from simulated_venues.binance.settings import BinanceSettings
from simulated_venues.binance.venue import BinanceVenue
from simulated_venues.market import SimulatedMarket
from simulated_venues.venue import embedded
from tests.simulated_venues.conftest import make_settings
with embedded(BinanceVenue(SimulatedMarket(make_settings(seed=11)), BinanceSettings())) as venue:
    for path in sys.argv[1:]:
        print(hashlib.sha256(httpx.get(venue.url + path, timeout=60).content).hexdigest())
"""
    paths = [
        f"{UM}/daily/klines/BTCUSDT/1m/BTCUSDT-1m-{DAY}.zip",
        f"{UM}/daily/aggTrades/ETHUSDT/ETHUSDT-aggTrades-{DAY}.zip",
        f"{UM}/daily/metrics/ETHUSDT/ETHUSDT-metrics-{DAY}.zip",
        f"{UM}/monthly/fundingRate/BTCUSDT/BTCUSDT-fundingRate-2024-02.zip",
        f"/fapi/v1/klines?symbol=BTCUSDT&interval=15m&startTime={DAY_MS}&limit=500",
        f"/fapi/v1/aggTrades?symbol=BTCUSDT&startTime={DAY_MS}",
    ]

    def digests(asked: list[str]) -> dict[str, str]:
        out = subprocess.run([sys.executable, "-c", program, *asked], capture_output=True, text=True, check=True)
        return dict(zip(asked, out.stdout.split(), strict=True))

    one, other = digests(paths), digests(paths[::-1])

    assert one == other
    assert len(set(one.values())) == len(paths)


def test_in_the_fast_world_there_are_days_of_seconds(fast_binance):
    start = DAY_MS + 12 * 3_600_000

    _, *rows = lines(fast_binance, f"daily/klines/BTCUSDT/1s/BTCUSDT-1s-{DAY}.zip")

    assert len(rows) == 86_400
    asked = fast_binance.get("/fapi/v1/klines", symbol="BTCUSDT", interval="1s", startTime=start, limit=1000)
    assert rows[43_200:44_200] == [[str(cell) for cell in row] for row in asked]

"""Months with something planted in them: each is stopped by the check that is there for it, with the rows shown."""

import hashlib
import io
import os
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from assets.bars import BARS_15M
from assets.features import FUNDING_FEATURES
from assets.judging import judge_funding_features
from assets.market_data import RAW_FUNDING_RATES, RAW_KLINES, RAW_OPEN_INTEREST
from assets.months import Judged, Made, MonthlyAsset
from assets.research import Research
from helios_pipeline.core.calendar import months_between
from helios_pipeline.core.checks import CheckOutcome
from helios_pipeline.definitions import build_research
from helios_pipeline.settings import load_settings
from tests.helios_home import BTC, write_settings

MONTH = (BTC, "2024-03")
START = datetime(2024, 3, 1, tzinfo=UTC)
BAR = timedelta(minutes=15)
BARS = 31 * 96
AT = 1500
"""Where something is planted: not at an edge."""

type Rows = list[list[object]]


def kline_rows() -> Rows:
    """Klines of a quiet market, as the archive's file has them."""
    close = np.round(60_000 + np.cumsum(np.random.default_rng(7).normal(0, 20, BARS)), 1)
    rows: Rows = []
    for k, price in enumerate(close):
        opened = round((START + k * BAR).timestamp() * 1000)
        open_ = close[k - 1] if k else price
        prices = [open_, max(open_, price) + 5, min(open_, price) - 5, price]
        rows.append([opened, *prices, 2.5, opened + 899_999, 150_000, 12, 1.5, 90_000, 0])
    return rows


def funding_rows() -> Rows:
    return [[round((START + k * timedelta(hours=8)).timestamp() * 1000) + 4, 8, "0.00010000"] for k in range(93)]


@pytest.fixture
def publish(tmp_path: Path) -> Callable[..., None]:
    """Puts the month's files into an archive."""
    folder = tmp_path / "archive" / "data" / "futures" / "um" / "monthly"

    def put(klines: Rows, funding: Rows) -> None:
        for where, name, rows in (
            (folder / "klines" / "BTCUSDT" / "15m", "BTCUSDT-15m-2024-03", klines),
            (folder / "fundingRate" / "BTCUSDT", "BTCUSDT-fundingRate-2024-03", funding),
        ):
            where.mkdir(parents=True, exist_ok=True)
            buffer = io.BytesIO()
            with zipfile.ZipFile(buffer, "w") as archive:
                archive.writestr(f"{name}.csv", "".join(",".join(map(str, row)) + "\n" for row in rows))
            content = buffer.getvalue()
            (where / f"{name}.zip").write_bytes(content)
            digest = hashlib.sha256(content).hexdigest()
            (where / f"{name}.zip.CHECKSUM").write_text(f"{digest}  {name}.zip\n")

    return put


@pytest.fixture
def research(tmp_path: Path) -> Callable[..., Research]:
    """The resource of a home with that archive, some settings changed."""

    def make(**changes: object) -> Research:
        archive = os.environ["HELIOS_REAL_DATA"] + "/binance_vision" if changes.pop("real", False) else None
        url = (Path(archive) if archive else tmp_path / "archive").as_uri()
        named = {name.replace("__", "."): value for name, value in changes.items()}
        write_settings(tmp_path / "helios.toml", {"paths.home": "home", "data.archive_url": url} | named)
        return build_research(load_settings(tmp_path / "helios.toml", {}), database_url=None)

    return make


def run(research: Research, asset: MonthlyAsset, month: tuple[str, str] = MONTH) -> Judged:
    plans = asset.plan(research, [month])
    asset.prepare(research, plans)
    return asset.replace(research, month, plans[month])


def failed(judged: Judged) -> dict[str, CheckOutcome]:
    return {outcome.check: outcome for outcome in judged.outcomes if not outcome.passed}


def test_a_sound_month_passes_every_check_of_every_asset(publish, research) -> None:
    publish(kline_rows(), funding_rows())
    resource = research()

    for asset in (RAW_KLINES, RAW_FUNDING_RATES, RAW_OPEN_INTEREST, BARS_15M, FUNDING_FEATURES):
        judged = run(resource, asset)

        assert [outcome.check for outcome in judged.outcomes] == [spec.name for spec in asset.checks]
        assert failed(judged) == {}
        assert judged.stored
    pages = sorted(path.parts[-3:] for path in (resource.settings.home / "reports").rglob("2024-03.html"))
    assert pages == [("bars_15m", BTC, "2024-03.html"), ("funding_features", BTC, "2024-03.html")]
    linked = {outcome.check: outcome.facts for outcome in judged.outcomes}["expectations"]["page"]
    assert linked == f"/reports/data_docs/binance/funding_features/{BTC}/2024-03.html"
    assert (resource.settings.home / str(linked).lstrip("/")).is_file()


def cut(rows: Rows, count: int) -> None:
    del rows[AT : AT + count]


def times(rows: Rows, factor: float) -> None:
    rows[AT][1:5] = [round(float(str(price)) * factor, 1) for price in rows[AT][1:5]]


PLANTED = {
    "a negative price": (lambda rows: rows[AT].__setitem__(3, -1.0), BARS_15M, "sound_prices"),
    "crossed prices": (lambda rows: rows[AT].__setitem__(3, 10**6), BARS_15M, "sound_prices"),
    "a price that moved without volume": (lambda rows: rows[AT].__setitem__(5, 0), BARS_15M, "sound_prices"),
    "a wrong scale": (lambda rows: times(rows, 1000), BARS_15M, "same_scale"),
    "a gap that is too long": (lambda rows: cut(rows, 9), BARS_15M, "complete"),
    "the same row twice": (lambda rows: rows.insert(AT, rows[AT]), RAW_KLINES, "sound_rows"),
    "two rows that contradict": (
        lambda rows: rows.insert(AT, [*rows[AT][:4], 1, *rows[AT][5:]]),
        RAW_KLINES,
        "sound_rows",
    ),
    "a line that is no kline": (lambda rows: rows[AT].__setitem__(4, "n/a"), RAW_KLINES, "sound_rows"),
    "a row off the clock": (lambda rows: rows[AT].__setitem__(0, 1_710_000_000_001), RAW_KLINES, "sound_rows"),
}


@pytest.mark.parametrize("planted", PLANTED)
def test_each_kind_of_damage_is_stopped_by_its_check_with_the_rows(publish, research, planted: str) -> None:
    plant, stopped_at, check = PLANTED[planted]
    rows = kline_rows()
    plant(rows)
    publish(rows, funding_rows())
    resource = research()

    judged = run(resource, RAW_KLINES)
    if stopped_at is BARS_15M:
        assert failed(judged) == {}
        judged = run(resource, BARS_15M)

    assert list(failed(judged)) == [check]
    outcome = failed(judged)[check]
    assert outcome.severity == "error"
    assert not judged.stored
    assert resource.lake.version(stopped_at.name, instrument=BTC, month="2024-03") is None
    shown = outcome.failures.to_dicts()
    if check == "complete":
        assert [(row["first"], row["bars"]) for row in shown] == [(START + AT * BAR, 9)]
    else:
        assert {row["opened_at"] for row in shown} <= {
            START + AT * BAR,
            datetime(2024, 3, 9, 16, 0, 0, 1000, UTC),
            None,
        }
        assert all(row["reason"] and row["source"] and row["row"] for row in shown)
    if stopped_at is RAW_KLINES:
        assert {row["source"] for row in shown} <= {"BTCUSDT-15m-2024-03.zip", "BTCUSDT-15m-2024-03.csv"}


def test_bars_in_which_nobody_traded_stop_nothing(publish, research) -> None:
    rows = kline_rows()
    for row in rows[AT : AT + 4]:
        row[1:6] = [60_000, 60_000, 60_000, 60_000, 0]
    publish(rows, funding_rows())
    resource = research()
    run(resource, RAW_KLINES)

    judged = run(resource, BARS_15M)

    assert failed(judged) == {}
    assert judged.made.frame.height == BARS - 4


def test_a_settlement_that_is_missing_stops_the_month(publish, research) -> None:
    rates = funding_rows()
    del rates[40]
    publish(kline_rows(), rates)

    judged = run(research(), RAW_FUNDING_RATES)

    assert list(failed(judged)) == ["every_settlement"]
    assert failed(judged)["every_settlement"].failures.rows() == [(START + 40 * timedelta(hours=8),)]


def test_a_rate_beyond_what_the_simulation_takes_stops_the_month(publish, research) -> None:
    rates = funding_rows()
    rates[40][2] = "0.06000000"
    publish(kline_rows(), rates)

    judged = run(research(), RAW_FUNDING_RATES)

    assert list(failed(judged)) == ["schema"]
    assert failed(judged)["schema"].failures["funding_rate"].to_list() == [0.06]


def test_damage_that_a_person_accepts_is_stored_and_stays_visible(publish, research) -> None:
    rows = kline_rows()
    cut(rows, 9)
    publish(rows, funding_rows())
    accepted = {"instrument": BTC, "month": "2024-03", "check": "bars_15m:complete", "reason": "the venue stood still"}
    resource = research(checks__accepted=[accepted])
    run(resource, RAW_KLINES)

    judged = run(resource, BARS_15M)

    outcome = failed(judged)["complete"]
    assert (outcome.severity, judged.stored) == ("warning", True)
    assert outcome.summary.endswith("Accepted in helios.toml: the venue stood still")
    assert outcome.failures["bars"].to_list() == [9]


@pytest.fixture
def features(publish, research) -> tuple[Research, Made]:
    """A home with a sound month, and the month's features."""
    publish(kline_rows(), funding_rows())
    resource = research()
    judged = [
        run(resource, asset) for asset in (RAW_KLINES, RAW_FUNDING_RATES, RAW_OPEN_INTEREST, BARS_15M, FUNDING_FEATURES)
    ]
    return resource, judged[-1].made


def test_features_that_know_the_future_are_stopped_and_not_looked_at_further(features) -> None:
    resource, made = features
    future = made.frame.with_columns(funding_settled_at=pl.col("closed_at"))

    outcomes = {o.check: o for o in judge_funding_features(resource, MONTH, replace(made, frame=future))}

    assert [check for check, outcome in outcomes.items() if not outcome.passed] == ["schema", "expectations"]
    assert outcomes["schema"].facts["failed"] == ["settled before the close"]
    assert outcomes["expectations"].severity == "warning"
    assert outcomes["expectations"].summary == "Not reached, because schema failed."


def test_a_bar_without_its_row_of_features_is_stopped(features) -> None:
    resource, made = features
    fewer = made.frame.filter(pl.int_range(pl.len()) != AT)

    outcomes = judge_funding_features(resource, MONTH, replace(made, frame=fewer))

    failures = {outcome.check: outcome.failures for outcome in outcomes if not outcome.passed}
    assert list(failures) == ["one_row_per_bar"]
    assert failures["one_row_per_bar"]["opened_at"].to_list() == [START + AT * BAR]


def real_months() -> Iterator[tuple[str, str]]:
    for symbol in ("BTC", "ETH", "SOL"):
        for month in months_between("2024-01", "2025-06"):
            yield f"{symbol}USDT-PERP.BINANCE", month


@pytest.mark.skipif("HELIOS_REAL_DATA" not in os.environ, reason="HELIOS_REAL_DATA is not set: no real data here")
def test_every_real_month_passes_as_shipped(research) -> None:
    resource = research(real=True)
    refused = []

    for asset in (RAW_KLINES, RAW_FUNDING_RATES, RAW_OPEN_INTEREST, BARS_15M, FUNDING_FEATURES):
        for month in real_months():
            refused += [
                (asset.name, month, outcome.summary) for outcome in failed(run(resource, asset, month)).values()
            ]

    assert refused == []
    quiet = resource.lake.facts("bars_15m", instrument=BTC, month="2024-10")["gaps"]
    assert [(gap["bars"], gap["cause"]) for gap in quiet] == [(4, "no_trades")]

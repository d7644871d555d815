import os
import shutil
import zipfile
from dataclasses import fields, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from helios_pipeline.core.errors import DataError, SettingsError
from simulated_venues.archive_csv import KLINE_HEADER
from simulated_venues.bars import Bars
from simulated_venues.columns import to_instant
from simulated_venues.market import SimulatedMarket
from simulated_venues.premium import funding_rates_e8
from simulated_venues.replay.bars import BarReplay, aligned_start, open_bar_replay
from simulated_venues.replay.files import RecordedInstrument
from simulated_venues.source import FairPrices
from tests.simulated_venues.recordings import recorded, write, write_days

REAL = Path(os.environ.get("HELIOS_REAL_DATA", "absent"))
BTC = "BTCUSDT-PERP.BINANCE"
ETH = "ETHUSDT-PERP.BINANCE"
LTC = "LTCUSDT-PERP.BINANCE"
DAY, END = datetime(2024, 2, 27, tzinfo=UTC), datetime(2024, 2, 29, tzinfo=UTC)
DAYS = date(2024, 2, 27), date(2024, 2, 29)
LTC_LISTED = RecordedInstrument(instrument_id=LTC, symbol="LTCUSDT", tick=Decimal("0.01"), lot=Decimal("0.001"))
needs_real_data = pytest.mark.skipif(not REAL.is_dir(), reason="HELIOS_REAL_DATA is not set: real market data needed")


@pytest.fixture(scope="module")
def market(make_settings):
    return SimulatedMarket(make_settings(edge=0.4))


@pytest.fixture(scope="module")
def archive(market, tmp_path_factory):
    root = tmp_path_factory.mktemp("archive")
    write_days(root, market, DAY, 2, metrics=True)
    return root


def opened(archive: Path, market: SimulatedMarket, interval: str = "1m", **options) -> BarReplay:
    listed = [recorded(instrument) for instrument in market.instruments]
    return open_bar_replay(archive, listed, interval=interval, days=DAYS, **options)


def kline(minute: int, prices: tuple[str, str, str, str], volume: str, count: int = 0, bought: str = "0") -> str:
    at = round(DAY.timestamp() * 1_000) + minute * 60_000
    return ",".join([str(at), *prices, volume, str(at + 59_999), "0", str(count), bought, "0", "0"])


def hand_made(root: Path, first_rows: list[str]) -> BarReplay:
    """A day of LTCUSDT whose first minutes are given and whose others are all alike."""
    usual = [kline(minute, ("70.00", "70.05", "69.90", "70.01"), "12.5") for minute in range(len(first_rows), 1_440)]
    path = root / "data/futures/um/daily/klines/LTCUSDT/1m/LTCUSDT-1m-2024-02-27.csv"
    write(path, "\n".join([KLINE_HEADER, *first_rows, *usual]).encode())
    return open_bar_replay(root, [LTC_LISTED], interval="1m", days=(date(2024, 2, 27), date(2024, 2, 28)))


@pytest.mark.parametrize(("interval", "raw_bars"), [("1m", 1), ("1m", 15), ("15m", 15), ("15m", 60)])
def test_every_column_of_every_bar_is_the_recorded_one(archive, market, interval, raw_bars):
    replayed, original = (
        source.bars(ETH, DAY, END, raw_bars=raw_bars) for source in (opened(archive, market, interval), market)
    )

    assert len(replayed) == 2 * 1_440 // raw_bars
    for column in fields(Bars):
        assert np.array_equal(getattr(replayed, column.name), getattr(original, column.name)), column.name


def test_funding_and_open_interest_are_the_recorded_ones(archive, market):
    replay = opened(archive, market)
    settled, expected = (source.settlements(BTC, DAY, END) for source in (replay, market))
    measured = replay.open_interest(BTC, DAY, END)
    original = market.open_interest(BTC, DAY + timedelta(minutes=5), END)

    assert np.array_equal(settled.settled_at_ms, expected.settled_at_ms)
    assert np.array_equal(settled.published_at_ms, expected.published_at_ms)
    assert np.array_equal(settled.rate_e8, expected.rate_e8)
    # The archive's first day of metrics begins at 00:05.
    assert np.array_equal(measured.measured_at_ms, original.measured_at_ms)
    assert np.array_equal(measured.open_interest, original.open_interest)
    assert measured.taker_ratio == pytest.approx(original.taker_ratio, abs=1e-8)


def test_the_premium_of_an_interval_gives_the_rate_that_was_settled_at_its_start(archive, market):
    replay = opened(archive, market)
    rates = replay.settlements(BTC, DAY, END).rate_e8
    premium = replay.fair_prices(BTC, DAY, END).premium

    assert np.array_equal(funding_rates_e8(premium), rates)


def test_nothing_that_comes_later_is_in_a_fair_price(archive, market, tmp_path):
    cut, noon = tmp_path / "cut", DAY + timedelta(hours=12)
    shutil.copytree(archive, cut)
    for path in cut.rglob("BTCUSDT-1m-2024-02-27.csv"):
        head, *rows = path.read_text().splitlines()
        path.write_text("\n".join([head, *rows[:720], *map(_at_double_prices, rows[720:])]))
    for path in cut.rglob("BTCUSDT-fundingRate-*.csv"):
        head, *rows = path.read_text().splitlines()
        path.write_text("\n".join([head, *rows[:2], *(f"{row.rsplit(',', 1)[0]},0.00250000" for row in rows[2:])]))
    until = noon + timedelta(minutes=1)
    found, expected = (opened(root, market).fair_prices(BTC, DAY, until) for root in (cut, archive))
    measured, original = (opened(root, market).open_interest(BTC, DAY, until).mark_price for root in (cut, archive))

    assert found.at_ms[-1] == round(noon.timestamp() * 1_000)
    for column in fields(FairPrices):
        assert np.array_equal(getattr(found, column.name), getattr(expected, column.name)), column.name
    assert np.array_equal(measured, original)


def _at_double_prices(row: str) -> str:
    """A kline whose prices and money are twice as high."""
    cells = row.split(",")
    return ",".join(str(2 * Decimal(cell)) if k in (1, 2, 3, 4, 7, 10) else cell for k, cell in enumerate(cells))


def test_a_replay_moved_and_sped_up_has_the_same_bars_and_trades_at_other_instants(archive, market):
    now = datetime(2026, 3, 1, 10, 17, 5, tzinfo=UTC)
    starts_at = aligned_start(now, 1_000)
    natural, fast = opened(archive, market), opened(archive, market, starts_at=starts_at, raw_interval_ms=1_000)
    first, last = (to_instant(at) for at in fast.span_ms or ())
    bars = [natural.bars(BTC, DAY, END, raw_bars=15), fast.bars(BTC, first, last, raw_bars=15)]
    trades = [natural.trades(BTC, DAY, END), fast.trades(BTC, first, last)]

    assert timedelta(0) <= now - starts_at < timedelta(minutes=8)
    assert first == starts_at
    assert last - first == timedelta(minutes=48)
    assert np.array_equal(bars[0].close, bars[1].close)
    assert np.array_equal(
        (bars[0].opened_at_ms - bars[0].opened_at_ms[0]) // 60, bars[1].opened_at_ms - fast.starts_at_ms
    )
    assert np.array_equal(trades[0].price, trades[1].price)
    assert np.array_equal(trades[0].trade_id, trades[1].trade_id)
    assert (fast.settlements(BTC, first, last).settled_at_ms % 480_000 == 0).all()


def test_a_start_that_would_take_funding_off_its_grid_is_refused_naming_one_that_does_not(archive, market):
    with pytest.raises(SettingsError, match=r"2026-03-01T08:00:00\+00:00"):
        opened(archive, market, starts_at=datetime(2026, 3, 1, 10, 17, tzinfo=UTC))


def test_bars_of_few_trades_or_none_are_given_back_by_their_trades(tmp_path):
    rows = [
        kline(0, ("70.00", "70.00", "70.00", "70.00"), "0.001"),
        kline(1, ("70.00", "70.02", "70.00", "70.02"), "0.500", 2, "0.2"),
        kline(2, ("70.02", "70.04", "70.02", "70.03"), "0.003", 3, "0.003"),
        kline(3, ("70.03", "70.03", "69.95", "70.00"), "1.000", 3, "0"),
        kline(4, ("70.00", "70.00", "70.00", "70.00"), "0"),
        kline(5, ("70.00", "70.09", "69.91", "70.01"), "3.000", 40, "1.234"),
    ]
    replay = hand_made(tmp_path, rows)
    bars, trades = (
        replay.bars(LTC, DAY, DAY + timedelta(days=1), raw_bars=1),
        replay.trades(LTC, DAY, DAY + timedelta(minutes=6)),
    )
    minute = (trades.traded_at_ms - round(DAY.timestamp() * 1_000)) // 60_000
    price = [trades.price[minute == k].tolist() for k in range(6)]
    bought = [int(trades.quantity[(minute == k) & ~trades.buyer_is_maker].sum()) for k in range(6)]

    assert [len(prices) for prices in price] == [1, 2, 3, 3, 0, 40]
    assert price[:5] == [[7000], [7000, 7002], [7002, 7004, 7003], [7003, 6995, 7000], []]
    assert (price[5][0], max(price[5]), min(price[5]), price[5][-1]) == (7000, 7009, 6991, 7001)
    assert bought[1:4] + bought[5:] == [200, 3, 0, 1_234]
    assert bars.close[:6].tolist() == [7000, 7002, 7003, 7000, 7000, 7001]
    assert bars.volume[:6].tolist() == [1, 500, 3, 1_000, 0, 3_000]


def test_what_a_file_does_not_record_is_summed_over_the_drawn_trades(tmp_path):
    replay = hand_made(tmp_path, [])
    bars, trades = (
        replay.bars(LTC, DAY, DAY + timedelta(days=1), raw_bars=1_440),
        replay.trades(LTC, DAY, DAY + timedelta(days=1)),
    )
    bought = ~trades.buyer_is_maker

    assert bars.trade_count[0] == len(trades) == 14 * 1_440
    assert bars.quote_volume[0] == (trades.price * trades.quantity).sum()
    assert bars.taker_buy_volume[0] == trades.quantity[bought].sum()


def test_without_funding_files_nothing_is_settled_and_the_premium_is_nought(tmp_path):
    replay = hand_made(tmp_path, [])
    day = DAY, DAY + timedelta(days=1)

    assert not len(replay.settlements(LTC, *day).rate_e8)
    assert not replay.fair_prices(LTC, *day).premium.any()
    assert set(replay.open_interest(LTC, *day).open_interest.tolist()) == {round(0.35 * 12.5 * 1_440 * 1_000)}


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([kline(1, ("70.00", "70.05", "69.90", "70.01"), "12.5")], "expected 1440 in order"),
        ([kline(0, ("70.00", "69.99", "69.90", "70.01"), "12.5")], "low ≤ open, close ≤ high"),
        ([kline(0, ("70.001", "70.05", "69.90", "70.01"), "12.5")], "open: expected multiples of 10"),
        ([kline(0, ("70.00", "70.05", "69.90", "70.01"), "12.5", 3)], "expected 4 trades or more"),
        ([kline(0, ("70.00", "70.05", "69.90", "70.01"), "0.002", 4)], "no more trades than lots"),
        ([kline(0, ("70.00", "much", "69.90", "70.01"), "12.5")], "LTCUSDT-1m-2024-02-27.csv"),
    ],
)
def test_a_recording_that_no_market_can_have_made_is_refused_saying_where(tmp_path, rows, words):
    with pytest.raises(DataError, match=words):
        hand_made(tmp_path, rows)


def test_a_missing_day_and_a_damaged_zip_are_refused_naming_the_file(archive, market, tmp_path):
    listed = [recorded(market.instruments[0])]
    with pytest.raises(DataError, match=r"BTCUSDT-1m-2024-02-29.zip \(or .csv\) for 2024-02-29"):
        open_bar_replay(archive, listed, interval="1m", days=(DAYS[0], date(2024, 3, 1)))
    path = tmp_path / "data/futures/um/daily/klines/BTCUSDT/1m/BTCUSDT-1m-2024-02-27.zip"
    write(path, b"not a zip")
    with pytest.raises(DataError, match=r"BTCUSDT-1m-2024-02-27.zip: expected a zip"):
        open_bar_replay(tmp_path, listed, interval="1m", days=(DAYS[0], date(2024, 2, 28)))


def test_zips_and_plain_files_give_the_same_market(archive, market, tmp_path):
    listed = [recorded(market.instruments[0])]
    for path in archive.rglob("BTCUSDT-*.csv"):
        target = tmp_path / path.relative_to(archive).with_suffix(".zip")
        target.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(target, "w") as zipped:
            zipped.write(path, path.name)
    zipped_replay, plain = (open_bar_replay(root, listed, interval="1m", days=DAYS) for root in (tmp_path, archive))

    assert zipped_replay.identity == plain.identity
    assert zipped_replay.identity != replace(plain, raw_interval_ms=1_000).identity


@needs_real_data
def test_real_minutes_with_real_takers_are_replayed_exactly_but_for_the_trades_money():
    replay = open_bar_replay(
        REAL / "binance_vision", [LTC_LISTED], interval="1m", days=(date(2026, 2, 1), date(2026, 3, 1))
    )
    first = datetime(2026, 2, 5, tzinfo=UTC)
    bars, trades = (
        replay.bars(LTC, first, first + timedelta(days=1), raw_bars=1),
        replay.trades(LTC, first, first + timedelta(days=1)),
    )
    recording = replay.recordings[0].bars
    of_day = slice(4 * 1_440, 5 * 1_440)
    starts = np.searchsorted(trades.traded_at_ms, bars.opened_at_ms)
    bought = np.where(trades.buyer_is_maker, 0, trades.quantity)
    money = np.add.reduceat(trades.price * trades.quantity, starts)

    for column in fields(Bars):
        if column.name != "interval_ms":
            assert np.array_equal(getattr(bars, column.name), getattr(recording, column.name)[of_day]), column.name
    assert np.array_equal(np.diff(np.append(starts, len(trades))), bars.trade_count)
    assert np.array_equal(np.add.reduceat(trades.quantity, starts), bars.volume)
    assert np.array_equal(np.add.reduceat(bought, starts), bars.taker_buy_volume)
    assert np.abs(money / bars.quote_volume - 1).mean() < 0.001
    assert np.abs(money / bars.quote_volume - 1).max() < 0.01


@needs_real_data
def test_real_quarters_without_volume_keep_their_price_and_have_no_trades():
    listed = RecordedInstrument(instrument_id=BTC, symbol="BTCUSDT", tick=Decimal("0.1"), lot=Decimal("0.001"))
    replay = open_bar_replay(
        REAL / "binance_vision", [listed], interval="15m", days=(date(2024, 10, 28), date(2024, 10, 29))
    )
    silent = datetime(2024, 10, 28, 20, tzinfo=UTC), datetime(2024, 10, 28, 21, tzinfo=UTC)
    minutes = replay.bars(BTC, *silent, raw_bars=1)
    bars = replay.bars(BTC, datetime(2024, 10, 28, tzinfo=UTC), datetime(2024, 10, 29, tzinfo=UTC), raw_bars=15)
    recording = replay.recordings[0].bars

    assert set(minutes.close.tolist()) == {695_661}
    assert not minutes.volume.any()
    assert not len(replay.trades(BTC, *silent))
    assert replay.book(BTC, silent[1]).bids.price[0] < replay.book(BTC, silent[1]).asks.price[0]
    for column in ("opened_at_ms", "open", "high", "low", "close", "volume"):
        assert np.array_equal(getattr(bars, column), getattr(recording, column)), column
    assert (bars.trade_count[bars.volume > 0] >= 60).all()

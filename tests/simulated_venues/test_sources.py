"""What every market source owes its venues, whatever it is made of."""

import os
from dataclasses import dataclass, fields, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from helios_pipeline.core.errors import SettingsError, SimulationError
from simulated_venues import market as market_module
from simulated_venues.bars import Bars, aggregate_bars
from simulated_venues.columns import to_instant
from simulated_venues.market import MarketSettings, SimulatedMarket
from simulated_venues.replay.files import RecordedInstrument
from simulated_venues.replay.raw import RawReplay
from simulated_venues.source import MarketSource
from simulated_venues.sources import ReplaySettings, open_source
from tests.simulated_venues.recordings import raw_lines, recorded, write_days, write_raw

REAL = Path(os.environ.get("HELIOS_REAL_DATA", "absent"))
BTC = "BTCUSDT-PERP.BINANCE"
DAY = datetime(2024, 2, 27, tzinfo=UTC)
BUSY = DAY + timedelta(hours=15, seconds=30)
REAL_BTC = RecordedInstrument(instrument_id=BTC, symbol="BTCUSDT", tick=Decimal("0.1"), lot=Decimal("0.001"))
READERS = ("trades", "quotes", "settlements", "fair_prices", "open_interest")
needs_real_data = pytest.mark.skipif(not REAL.is_dir(), reason="HELIOS_REAL_DATA is not set: real market data needed")


@dataclass(frozen=True, kw_only=True)
class Case:
    """A source, how to open it again, and a window that it has prices for.

    Bars may state recorded money, which drawn trades only come near.
    """

    source: MarketSource
    market: MarketSettings
    replay: ReplaySettings | None
    first: datetime
    last: datetime
    money_is_recorded: bool = False


def window(source: MarketSource, raw_bars: int) -> tuple[datetime, datetime]:
    """So many raw bars from the first whole one on."""
    begin = (source.span_ms or (round(DAY.timestamp() * 1_000), 0))[0]
    first = -(-begin // source.raw_interval_ms) * source.raw_interval_ms
    return to_instant(first), to_instant(first + raw_bars * source.raw_interval_ms)


@pytest.fixture(scope="module")
def recording(make_settings, tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("recorded")
    market = SimulatedMarket(make_settings(edge=0.4))
    write_days(root, market, DAY, 2)
    write_raw(root / "raw.gz", raw_lines(market, BTC, BUSY, BUSY + timedelta(minutes=4, seconds=31)))
    return root


@pytest.fixture(
    scope="module",
    params=[
        "market",
        "regimes",
        "bars",
        "fast bars of 15m",
        "messages",
        pytest.param("real bars", marks=needs_real_data),
        pytest.param("real messages", marks=needs_real_data),
    ],
)
def case(request, make_settings, recording) -> Case:
    market = make_settings(edge=0.4)
    listed = tuple(recorded(i) for i in market.instruments)
    bars = ReplaySettings(path=recording, instruments=listed, starts_at=DAY, days=(DAY.date(), date(2024, 2, 29)))
    real = ReplaySettings(
        path=REAL / "binance_vision",
        instruments=(REAL_BTC,),
        starts_at=datetime(2024, 10, 28, tzinfo=UTC),
        interval="15m",
        days=(date(2024, 10, 28), date(2024, 10, 30)),
    )
    real_path = REAL / "recordings" / "binance_um_btcusdt_20240808_raw_ws.gz"
    fast = replace(market, raw_interval_ms=1_000)
    choices: dict[str, tuple[MarketSettings, ReplaySettings | None]] = {
        "market": (market, None),
        "regimes": (replace(market, regimes=("calm", "turbulent")), None),
        "bars": (market, bars),
        "fast bars of 15m": (
            fast,
            replace(bars, interval="15m", starts_at=datetime(2026, 1, 1, 0, 8, tzinfo=UTC)),
        ),
        "messages": (market, ReplaySettings(path=recording / "raw.gz", instruments=listed[:1], starts_at=BUSY)),
        "real bars": (market, real),
        "real messages": (
            market,
            ReplaySettings(path=real_path, instruments=(REAL_BTC,), starts_at=datetime(2026, 1, 1, tzinfo=UTC)),
        ),
    }
    played = choices[request.param]
    source = open_source(*played)
    length = {"messages": 4, "real messages": 5, "real bars": 2_880}.get(request.param, 1_500)
    first, last = window(source, length)
    return Case(
        source=source,
        market=played[0],
        replay=played[1],
        first=first,
        last=last,
        money_is_recorded="bars" in request.param,
    )


def columns(record) -> dict[str, np.ndarray]:
    return {f.name: getattr(record, f.name) for f in fields(record) if isinstance(getattr(record, f.name), np.ndarray)}


def moments(case: Case, count: int) -> list[datetime]:
    """Instants spread over the window, among them those of trades."""
    trades = case.source.trades(BTC, case.first, case.last)
    chosen = np.linspace(0, len(trades) - 1, count // 2).astype(int)
    at_trades = [to_instant(int(trades.traded_at_ms[i])) for i in chosen]
    length = (case.last - case.first) / count
    return at_trades + [case.first + length * k for k in range(count // 2)]


def test_bars_are_the_sums_of_their_trades(case):
    bars = case.source.bars(BTC, case.first, case.last, raw_bars=1)
    trades = case.source.trades(BTC, case.first, case.last)
    edges = np.searchsorted(trades.traded_at_ms, np.append(bars.opened_at_ms, bars.opened_at_ms[-1] + bars.interval_ms))
    full = np.diff(edges) > 0
    starts, ends = edges[:-1][full], edges[1:][full] - 1
    bought = np.where(trades.buyer_is_maker, 0, trades.quantity)
    expected = {
        "open": trades.price[starts],
        "high": np.maximum.reduceat(trades.price, starts),
        "low": np.minimum.reduceat(trades.price, starts),
        "close": trades.price[ends],
        "volume": np.add.reduceat(trades.quantity, starts),
        "taker_buy_volume": np.add.reduceat(bought, starts),
        "trade_count": np.diff(edges)[full],
    }
    money = {
        "quote_volume": np.add.reduceat(trades.price * trades.quantity, starts),
        "taker_buy_quote_volume": np.add.reduceat(trades.price * bought, starts),
    }

    assert len(bars) == (case.last - case.first) / timedelta(milliseconds=case.source.raw_interval_ms)
    assert edges[-1] == len(trades)
    for name, values in expected.items():
        assert np.array_equal(values, getattr(bars, name)[full]), name
    for name, values in money.items():
        stated = getattr(bars, name)[full]
        assert np.abs(values - stated).max() <= (0.02 * stated.max() if case.money_is_recorded else 0), name
    assert not bars.volume[~full].any()


@pytest.mark.parametrize("raw_bars", [5, 15, 7])
def test_longer_bars_are_the_aggregate_of_raw_ones_at_multiples_of_their_length(case, raw_bars):
    longer = case.source.bars(BTC, case.first, case.last, raw_bars=raw_bars)
    length_ms = raw_bars * case.source.raw_interval_ms

    assert (longer.opened_at_ms % length_ms == 0).all()
    assert longer.interval_ms == length_ms
    if len(longer):
        begin, end = (to_instant(int(at)) for at in (longer.opened_at_ms[0], longer.opened_at_ms[-1] + length_ms))
        expected = aggregate_bars(case.source.bars(BTC, begin, end, raw_bars=1), raw_bars)

        assert all(np.array_equal(getattr(longer, f.name), getattr(expected, f.name)) for f in fields(Bars))


@pytest.mark.parametrize("reader", READERS)
def test_spans_are_half_open_wherever_they_are_cut(case, reader):
    read = getattr(case.source, reader)
    cuts = [case.first, *sorted(moments(case, 8)), case.last]
    whole = read(BTC, case.first, case.last)
    parts = [read(BTC, *span) for span in pairwise(cuts)]

    for name, values in columns(whole).items():
        assert np.array_equal(np.concatenate([getattr(part, name) for part in parts]), values), name
        assert not len(getattr(read(BTC, case.first, case.first), name))


def test_answers_depend_neither_on_their_order_nor_on_other_instruments(case):
    alone = replace(case.market, instruments=case.market.instruments[:1])
    recorded_alone = case.replay and replace(case.replay, instruments=case.replay.instruments[:1])
    for kept in (market_module._day_bars, market_module._day_premium, market_module._day_path):
        kept.cache_clear()
    # Messages take long to read: the same ones in a source that has answered nothing yet.
    other = replace(case.source) if isinstance(case.source, RawReplay) else open_source(alone, recorded_alone)
    instants = moments(case, 6)
    backwards = [columns(other.book(BTC, at).bids) for at in reversed(instants)][::-1]

    for at, levels in zip(instants, backwards, strict=True):
        for name, values in columns(case.source.book(BTC, at).bids).items():
            assert np.array_equal(values, levels[name])
    for reader in READERS:
        expected = columns(getattr(case.source, reader)(BTC, case.first, case.last))
        found = columns(getattr(other, reader)(BTC, case.first, case.last))
        assert all(np.array_equal(found[name], expected[name]) for name in expected), reader


def test_quotes_hold_the_trades_they_come_with(case):
    trades = case.source.trades(BTC, case.first, case.last)
    quotes = case.source.quotes(BTC, case.first, case.last)

    assert np.array_equal(quotes.at_ms, trades.traded_at_ms)
    assert np.array_equal(np.where(trades.buyer_is_maker, quotes.bid, quotes.ask), trades.price)
    assert (quotes.bid < quotes.ask).all()
    assert quotes.bid.min() >= 1
    assert min(quotes.bid_quantity.min(), quotes.ask_quantity.min()) >= 1
    assert (np.diff(quotes.update_id) >= 0).all()


def test_trades_are_in_order_numbered_without_a_gap_and_positive(case):
    trades = case.source.trades(BTC, case.first, case.last)

    assert len(trades) > 50
    assert (np.diff(trades.trade_id) == 1).all()
    assert (np.diff(trades.traded_at_ms) >= 0).all()
    assert min(trades.price.min(), trades.quantity.min()) >= 1


def test_a_book_is_in_order_uncrossed_and_its_ids_grow(case):
    books = [case.source.book(BTC, at) for at in sorted(moments(case, 40))]

    for book in books:
        assert book.bids.price[0] < book.asks.price[0]
        assert (np.diff(book.bids.price) < 0).all()
        assert (np.diff(book.asks.price) > 0).all()
        for side in (book.bids, book.asks):
            assert len(side) > 20
            assert side.quantity.min() >= 1
            assert side.since_ms.max() <= book.at_ms
    assert (np.diff([book.update_id for book in books]) >= 0).all()


def test_the_best_of_a_book_is_the_last_quote(case):
    if isinstance(case.source, RawReplay):
        pytest.skip("a recorded book also moves between trades: its best prices are compared in replay/test_raw")
    quotes = case.source.quotes(BTC, case.first, case.last)
    for k in np.linspace(0, len(quotes.at_ms) - 2, 40).astype(int):
        at_ms = int(quotes.at_ms[k])
        last = int(np.searchsorted(quotes.at_ms, at_ms, side="right")) - 1
        book = case.source.book(BTC, to_instant(at_ms))
        found = [book.bids.price[0], book.asks.price[0], book.bids.quantity[0], book.asks.quantity[0], book.update_id]

        assert found == [
            quotes.bid[last],
            quotes.ask[last],
            quotes.bid_quantity[last],
            quotes.ask_quantity[last],
            quotes.update_id[last],
        ]


def test_fair_prices_stand_at_raw_bars_and_around_the_price(case):
    fair = case.source.fair_prices(BTC, case.first, case.last)
    bars = case.source.bars(BTC, case.first, case.last, raw_bars=1)
    price = bars.close[:-1] * float(case.source.instruments[0].tick)

    assert np.array_equal(fair.at_ms, bars.opened_at_ms)
    assert np.abs(fair.mark_price[1:] / price - 1).max() < 0.001
    assert (fair.index_price * (1 + fair.premium))[1:] == pytest.approx(price, rel=0.001)


def test_funding_is_settled_on_its_grid_and_open_interest_measured_on_its_own(case):
    settled = case.source.settlements(BTC, case.first, case.last)
    measured = case.source.open_interest(BTC, case.first, case.last)
    raw_ms = case.source.raw_interval_ms

    assert (settled.settled_at_ms % (480 * raw_ms) == 0).all()
    assert (settled.published_at_ms >= settled.settled_at_ms).all()
    assert (measured.measured_at_ms % (5 * raw_ms) == 0).all()
    assert (measured.open_interest > 0).all()
    if not isinstance(case.source, RawReplay):
        assert len(settled.rate_e8) >= 3
        assert len(measured.measured_at_ms) == len(case.source.bars(BTC, case.first, case.last, raw_bars=5))


def test_outside_its_span_a_recording_has_nothing_and_no_book(case):
    if case.source.span_ms is None:
        pytest.skip("the simulated market has no ends")
    begin, end = (to_instant(at) for at in case.source.span_ms)
    for first, last in ((begin - timedelta(days=3), begin), (end, end + timedelta(days=3))):
        for reader in READERS:
            assert not any(len(v) for v in columns(getattr(case.source, reader)(BTC, first, last)).values()), reader
        assert not len(case.source.bars(BTC, first, last, raw_bars=1))
    for at in (begin - timedelta(milliseconds=1), end):
        with pytest.raises(SimulationError, match=begin.isoformat().replace("+", "[+]")):
            case.source.book(BTC, at)
    assert case.source.book(BTC, begin).bids.price[0] > 0


def test_equal_settings_give_equal_names_and_other_settings_another(case):
    if case.replay is None or case.replay.days is None:
        pytest.skip("a market's name is its digest, and messages are too many to be read again")
    later = datetime(2026, 1, 5, tzinfo=UTC)

    assert open_source(case.market, case.replay).identity == case.source.identity
    assert open_source(case.market, replace(case.replay, starts_at=later)).identity != case.source.identity


def test_bars_of_no_length_instants_without_a_zone_and_strangers_are_refused(case):
    with pytest.raises(SimulationError, match="raw_bars"):
        case.source.bars(BTC, case.first, case.last, raw_bars=0)
    with pytest.raises(SimulationError, match="time zone"):
        case.source.trades(BTC, case.first.replace(tzinfo=None), case.last)
    with pytest.raises(SettingsError, match="DOGE"):
        case.source.trades("DOGEUSDT-PERP.BINANCE", case.first, case.last)


@pytest.mark.parametrize(
    ("path", "days", "words"),
    [
        ("nowhere.gz", None, "no file at nowhere.gz"),
        ("nowhere", (date(2024, 1, 1), date(2024, 1, 2)), "data/futures/um, found none at nowhere"),
    ],
)
def test_a_recording_that_is_not_there_is_refused_naming_its_path(make_settings, path, days, words):
    replay = ReplaySettings(path=Path(path), instruments=(REAL_BTC,), starts_at=DAY, days=days)
    with pytest.raises(SettingsError, match=words):
        open_source(make_settings(), replay)


def test_recordings_played_otherwise_have_other_names():
    replay = ReplaySettings(path=Path("here"), instruments=(REAL_BTC,), starts_at=DAY, days=(DAY.date(), DAY.date()))
    others = [
        replace(replay, path=Path("there")),
        replace(replay, interval="15m"),
        replace(replay, starts_at=BUSY),
        replace(replay, days=None),
    ]
    names = [replay.name_at(60_000), replay.name_at(1_000), *(other.name_at(60_000) for other in others)]

    assert replace(replay).name_at(60_000) == names[0]
    assert len(set(names)) == len(names)

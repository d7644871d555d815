"""The CSV files of Binance's public archive, out of a source's records: headers, columns and decimals as published."""

from datetime import UTC, date, datetime, timedelta

import numpy as np

from simulated_venues.bars import Bars, Trades
from simulated_venues.decimal_csv import decimal_csv
from simulated_venues.settings import RAW_BARS_PER_FUNDING, RAW_BARS_PER_HOUR, SimulatedInstrument
from simulated_venues.source import Integers, OpenInterest, Settlements

KLINE_HEADER = (
    "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,taker_buy_quote_volume,ignore"
)
FUNDING_HEADER = "calc_time,funding_interval_hours,last_funding_rate"
METRICS_HEADER = (
    "create_time,symbol,sum_open_interest,sum_open_interest_value,count_toptrader_long_short_ratio,"
    "sum_toptrader_long_short_ratio,count_long_short_ratio,sum_taker_long_short_vol_ratio"
)
AGGREGATE_TRADES_HEADER = "agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker"
TRADES_HEADER = "id,price,qty,quote_qty,time,is_buyer_maker"

METRICS_MS = 300_000
"""Metrics are published of every fifth minute."""


def klines_csv(bars: Bars, instrument: SimulatedInstrument) -> bytes:
    """A klines file: twelve columns, milliseconds, prices and quantities with every decimal of tick and lot."""
    price, quantity = instrument.price_decimals, instrument.quantity_decimals
    columns = {
        "open_time": (bars.opened_at_ms, 0),
        "open": (bars.open, price),
        "high": (bars.high, price),
        "low": (bars.low, price),
        "close": (bars.close, price),
        "volume": (bars.volume, quantity),
        "close_time": (bars.opened_at_ms + bars.interval_ms - 1, 0),
        "quote_volume": (bars.quote_volume, price + quantity),
        "count": (bars.trade_count, 0),
        "taker_buy_volume": (bars.taker_buy_volume, quantity),
        "taker_buy_quote_volume": (bars.taker_buy_quote_volume, price + quantity),
        "ignore": (np.zeros_like(bars.volume), 0),
    }
    return decimal_csv(KLINE_HEADER, [values for values, _ in columns.values()], [d for _, d in columns.values()])


def funding_csv(settlements: Settlements) -> bytes:
    """A funding file: published stamp, interval in hours of the market, rate."""
    hours = np.full_like(settlements.rate_e8, RAW_BARS_PER_FUNDING // RAW_BARS_PER_HOUR)
    return decimal_csv(FUNDING_HEADER, [settlements.published_at_ms, hours, settlements.rate_e8], [0, 0, 8])


def metrics_span(day: date) -> tuple[datetime, datetime]:
    """What a day's metrics file covers: 00:05 of the day to 00:00 of the next, as the archive cuts its days."""
    first = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(milliseconds=METRICS_MS)
    return first, first + timedelta(days=1)


def metrics_csv(metrics: OpenInterest, instrument: SimulatedInstrument) -> bytes:
    """A metrics file, of what was measured at every fifth minute."""
    lines = [METRICS_HEADER]
    for k in np.flatnonzero(metrics.measured_at_ms % METRICS_MS == 0).tolist():
        stamp = datetime.fromtimestamp(int(metrics.measured_at_ms[k]) / 1_000, UTC)
        quantity = int(metrics.open_interest[k]) * instrument.lot
        value = float(quantity) * metrics.mark_price[k]
        ratios = (
            metrics.top_accounts_ratio[k],
            metrics.top_positions_ratio[k],
            metrics.accounts_ratio[k],
            metrics.taker_ratio[k],
        )
        lines.append(
            f"{stamp:%Y-%m-%d %H:%M:%S},{instrument.symbol},{quantity:.16f},{value:.16f},"
            + ",".join(f"{ratio:.8f}" for ratio in ratios)
        )
    return ("\n".join(lines) + "\n").encode()


def aggregate_trades_csv(trades: Trades, instrument: SimulatedInstrument) -> bytes:
    """A file of aggregate trades; each trade is one by itself."""
    columns = [
        (trades.trade_id, 0),
        (trades.price, instrument.price_decimals),
        (trades.quantity, instrument.quantity_decimals),
        (trades.trade_id, 0),
        (trades.trade_id, 0),
        (trades.traded_at_ms, 0),
    ]
    return _with_maker(AGGREGATE_TRADES_HEADER, columns, trades)


def trades_csv(trades: Trades, instrument: SimulatedInstrument) -> bytes:
    """A file of single trades."""
    price, quantity = instrument.price_decimals, instrument.quantity_decimals
    columns = [
        (trades.trade_id, 0),
        (trades.price, price),
        (trades.quantity, quantity),
        (trades.price * trades.quantity, price + quantity),
        (trades.traded_at_ms, 0),
    ]
    return _with_maker(TRADES_HEADER, columns, trades)


def rows_of(csv: bytes) -> bytes:
    """A file without its header, to go on with after another one."""
    return csv[csv.index(b"\n") + 1 :]


def _with_maker(header: str, columns: list[tuple[Integers, int]], trades: Trades) -> bytes:
    """Lines that end in `true` where the buyer was the maker, else in `false`."""
    table = [*columns, (trades.buyer_is_maker.astype(np.int64), 0)]
    csv = decimal_csv(header, [values for values, _ in table], [decimals for _, decimals in table])
    return csv.replace(b",1\n", b",true\n").replace(b",0\n", b",false\n")

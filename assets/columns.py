"""What each stored column is, in a few words and with its unit, for Dagster's pages."""

import dagster as dg
import polars as pl

MEANINGS = {
    "opened_at": "UTC, the key",
    "closed_at": "UTC; from here on the bar may be used",
    "interval": "Binance's name of the bar's length",
    "open": "price, quote currency",
    "high": "price, quote currency",
    "low": "price, quote currency",
    "close": "price, quote currency",
    "volume": "base currency",
    "quote_volume": "quote currency; empty: not recorded",
    "trade_count": "trades; empty: not recorded",
    "taker_buy_volume": "base currency bought by takers; empty: not recorded",
    "taker_buy_quote_volume": "quote currency; empty: not recorded",
    "source": "where the row comes from",
    "settled_at": "UTC, the key: the published stamp floored to the hour",
    "published_at": "UTC, as published",
    "funding_rate": "fraction of notional per interval",
    "interval_hours": "hours that the rate is for",
    "mark_price": "quote currency; empty: not published",
    "measured_at": "UTC, the key",
    "open_interest": "base currency",
    "open_interest_quote": "quote currency",
    "open_interest_change_1d": "fraction; empty: not known a day before",
    "funding_rate_per_hour": "fraction of notional per hour, last settled strictly before the close",
    "funding_settled_at": "UTC, when that rate was settled",
    "funding_interval_hours": "hours that the rate was for",
    "z_funding": "standard deviations from the mean of the last settlements, within ±3; NaN: no value",
    "volatility": "standard deviation of log returns, per year; NaN while it warms up",
    "atr": "mean true range, quote currency; NaN while it warms up",
    "sharpe": "of daily net returns, annualised",
    "net_return": "fraction of the starting equity, after all costs",
    "max_drawdown": "fraction below the running peak, ≤ 0",
    "win_rate": "fraction of round trips with a net profit",
    "round_trips": "closed, from entry to flat",
    "proscore2": "0 to 100, by which in-sample choices are made",
    "passed": "whether every constraint holds",
    "exposure": "fraction of clock slots with a position",
}


def column_schema(columns: pl.Schema) -> dg.TableSchema:
    """A frame's columns with their types and meanings, for the metadata key `dagster/column_schema`."""
    return dg.TableSchema(
        columns=[dg.TableColumn(name, _type(kind), MEANINGS.get(name)) for name, kind in columns.items()]
    )


def _type(kind: pl.DataType) -> str:
    return "timestamp, µs, UTC" if isinstance(kind, pl.Datetime) else str(kind).lower()

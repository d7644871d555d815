"""Aggregate trades of the archive, and bars made from them."""

import polars as pl

from helios_pipeline.data.aggregate import aggregate_rows
from helios_pipeline.data.csv_rows import CsvColumns, read_csv_rows, stamps_to_instants
from helios_pipeline.data.klines import INTERVALS
from helios_pipeline.data.quarantine import STAMP, ParsedRows, quarantine_rows, separate_duplicates
from helios_pipeline.data.validate import BARS_SCHEMA

RAW_TRADES_SCHEMA = pl.Schema(
    {
        "trade_id": pl.Int64(),
        "traded_at": STAMP,
        "price": pl.Float64(),
        "quantity": pl.Float64(),
        "first_match_id": pl.Int64(),
        "last_match_id": pl.Int64(),
        "buyer_is_maker": pl.Boolean(),
    }
)
"""One taker order's matches at one price; key trade_id, which is also the order of execution."""

# Futures files have a header and seven columns, spot files none and one more: "best price match".
# https://github.com/binance/binance-public-data, AggTrades
_COLUMNS = CsvColumns(
    types={
        "agg_trade_id": pl.Int64,
        "price": pl.Float64,
        "quantity": pl.Float64,
        "first_trade_id": pl.Int64,
        "last_trade_id": pl.Int64,
        "transact_time": pl.Int64,
        "is_buyer_maker": pl.String,
    },
    width=frozenset({7, 8}),
)


def parse_agg_trades(csv: bytes, *, file: str) -> ParsedRows:
    """Parse one aggTrades file, spot or futures, with or without a header row, stamps in ms or µs.

    Returns:
        `RAW_TRADES_SCHEMA` sorted by trade id. Quarantined: `wrong_columns`, `unparsable`, `not_finite`,
        `not_positive`, `match_ids` (last before first), `maker_flag`, `duplicate`, `conflicting_rows`.

    Raises:
        DataError: the file is empty, cut off, of another kind, or its stamps have another width.
    """
    read = read_csv_rows(csv, _COLUMNS, file=file)
    rows = stamps_to_instants(read.rows, ["transact_time"], file=file)
    flag = pl.col("is_buyer_maker").str.to_lowercase()
    rows = rows.with_columns(
        _reason=pl.when(~(pl.col("price").is_finite() & pl.col("quantity").is_finite()))
        .then(pl.lit("not_finite"))
        .when((pl.col("price") <= 0) | (pl.col("quantity") <= 0))
        .then(pl.lit("not_positive"))
        .when(pl.col("last_trade_id") < pl.col("first_trade_id"))
        .then(pl.lit("match_ids"))
        .when(~flag.is_in(["true", "false"]))
        .then(pl.lit("maker_flag"))
    )
    bad = rows.filter(pl.col("_reason").is_not_null())
    good = rows.filter(pl.col("_reason").is_null()).select(
        trade_id="agg_trade_id",
        traded_at="transact_time",
        price="price",
        quantity="quantity",
        first_match_id="first_trade_id",
        last_match_id="last_trade_id",
        buyer_is_maker=flag == "true",
    )
    unique = separate_duplicates(good, key=["trade_id"], stamp="traded_at", source=file)
    misfits = quarantine_rows(bad, stamp="transact_time", reason=pl.col("_reason"), source=file)
    return ParsedRows(frame=unique.frame, quarantined=pl.concat([read.quarantined, misfits, unique.quarantined]))


def aggregate_trades(trades: pl.DataFrame, interval: str) -> pl.DataFrame:
    """Make bars of any interval from trades.

    Args:
        trades: `RAW_TRADES_SCHEMA`, sorted by trade id.
        interval: Binance's name of the interval, a key of `INTERVALS`.

    Returns:
        Bars with source `trades`, one per interval with trades. `trade_count` counts matches, as Binance's klines do;
        a taker bought where the buyer was not the maker.
    """
    price, quantity = pl.col("price"), pl.col("quantity")
    bars = aggregate_rows(
        trades,
        stamp="traded_at",
        interval=INTERVALS[interval],
        prices=[
            price.first().alias("open"),
            price.max().alias("high"),
            price.min().alias("low"),
            price.last().alias("close"),
            (pl.col("last_match_id") - pl.col("first_match_id") + 1).sum().alias("trade_count"),
        ],
        totals={
            "volume": quantity,
            "quote_volume": price * quantity,
            "taker_buy_volume": pl.when(pl.col("buyer_is_maker")).then(0.0).otherwise(quantity),
        },
    )
    return bars.with_columns(source=pl.lit("trades")).select(list(BARS_SCHEMA))

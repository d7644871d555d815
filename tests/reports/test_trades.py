"""Round trips as people read them."""

from datetime import UTC, datetime
from decimal import Decimal

import polars as pl
import pytest

from helios_pipeline.core.records import Instrument
from helios_pipeline.reports.trades import notable_round_trips, round_trip_rows, trade_statistics

BTC = Instrument(
    instrument_id="BTCUSDT-PERP.BINANCE",
    tick=Decimal("0.10"),
    lot=Decimal("0.001"),
    min_quantity=Decimal("0.001"),
    min_notional_quote=Decimal(5),
    max_notional_quote=Decimal(1_000_000),
)
HOUR = 3_600 * 10**9
START = int(datetime(2025, 1, 1, tzinfo=UTC).timestamp()) * 10**9


@pytest.fixture
def rows():
    nets = [5, -3, 10, -2]
    return round_trip_rows(
        pl.DataFrame(
            {
                "instrument_id": [BTC.instrument_id] * 4,
                "side": [1, -1, 1, -1],
                "entered_at_ns": [START + k * 10 * HOUR for k in range(4)],
                "left_at_ns": [START + (k * 10 + 2 + k) * HOUR for k in range(4)],
                "lots": [10] * 4,
                "entry_ticks": [600_001] * 4,
                "exit_ticks": [600_100] * 4,
                "fee_quanta": [10**8] * 4,
                "funding_quanta": [-(10**7)] * 4,
                "net_quanta": [net * 10**8 for net in nets],
                "reason": ["signal", "stop_in_bar", "signal", "max_holding"],
            }
        ),
        [BTC],
    )


def test_prices_are_exact_text_and_money_is_in_quote_currency(rows):
    first = rows.row(0, named=True)

    assert (first["entry"], first["exit"]) == ("60000.10", "60010.00")
    assert (first["net"], first["fees"], first["funding"]) == (5.0, -1.0, -0.1)
    assert (first["side"], first["exit_reason"], first["hours"]) == ("long", "signal", 2.0)
    assert first["entered_at"] == datetime(2025, 1, 1, tzinfo=UTC)


def test_statistics_count_all_and_each_kind(rows):
    shown = {row["round_trips"]: row for row in trade_statistics(rows).iter_rows(named=True)}

    everything = shown["all"]
    assert (everything["count"], everything["win_rate"], everything["net"]) == (4, 0.5, 10.0)
    assert everything["profit_factor"] == 3.0
    assert shown["long"]["profit_factor"] is None
    assert shown["short"]["net"] == -5.0
    assert {"signal", "stop in bar", "max holding", BTC.instrument_id} <= set(shown)


def test_notable_ones_are_the_last_the_best_and_the_worst(rows):
    notable = notable_round_trips(rows)

    assert notable["last"]["net"].to_list() == [-2.0, 10.0, -3.0, 5.0]
    assert notable["best"]["net"][0] == 10.0
    assert notable["worst"]["net"][0] == -3.0

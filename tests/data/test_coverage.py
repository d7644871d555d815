"""Which months and bars are there, over everything that is stored."""

from datetime import UTC, datetime, timedelta

from helios_pipeline.data.coverage import (
    COVERAGE_GAPS_SCHEMA,
    COVERAGE_SCHEMA,
    MISSING_MONTHS_SCHEMA,
    covered_until,
    map_coverage,
)

BAR = timedelta(minutes=15)
BTC, ETH = "BTCUSDT-PERP.BINANCE", "ETHUSDT-PERP.BINANCE"


def gap(first: datetime, bars: int, cause: str) -> dict[str, object]:
    return {"first": first.isoformat(), "last": (first + (bars - 1) * BAR).isoformat(), "bars": bars, "cause": cause}


def test_each_instrument_is_counted_from_its_first_to_its_last_month() -> None:
    quiet, damage = datetime(2024, 1, 5, tzinfo=UTC), datetime(2024, 1, 9, tzinfo=UTC)
    january = {"bars": 2976 - 7, "gaps": [gap(quiet, 4, "no_trades"), gap(damage, 3, "negative_price")]}
    march = {"bars": 2976, "gaps": []}

    coverage = map_coverage({BTC: {"2024-03": march, "2024-01": january}, ETH: {"2024-02": {"bars": 2784, "gaps": []}}})

    assert coverage.instruments.schema == COVERAGE_SCHEMA
    assert coverage.instruments.rows() == [
        (BTC, "2024-01", "2024-03", 2, 1, 5952, 5945, 4, 3, 3, 5945 / 5948),
        (ETH, "2024-02", "2024-02", 1, 0, 2784, 2784, 0, 0, 0, 1.0),
    ]
    assert coverage.missing_months.rows() == [(BTC, "2024-02")]
    assert coverage.gaps.rows() == [
        (BTC, quiet, quiet + 3 * BAR, 4, "no_trades"),
        (BTC, damage, damage + 2 * BAR, 3, "negative_price"),
    ]


def test_a_gap_that_goes_on_in_the_next_month_is_one() -> None:
    midnight = datetime(2024, 2, 1, tzinfo=UTC)
    january = {"bars": 2974, "gaps": [gap(midnight - 2 * BAR, 2, "missing")]}
    february = {"bars": 2781, "gaps": [gap(midnight, 3, "missing")]}

    coverage = map_coverage({BTC: {"2024-01": january, "2024-02": february}})

    assert coverage.gaps.rows() == [(BTC, midnight - 2 * BAR, midnight + 2 * BAR, 5, "missing")]
    assert coverage.instruments["longest_gap"].to_list() == [5]


def test_quiet_bars_beside_damage_stay_apart() -> None:
    first = datetime(2024, 1, 5, tzinfo=UTC)
    facts = {"bars": 2970, "gaps": [gap(first, 2, "no_trades"), gap(first + 2 * BAR, 4, "missing")]}

    coverage = map_coverage({BTC: {"2024-01": facts}})

    assert coverage.gaps["cause"].to_list() == ["no_trades", "missing"]
    assert coverage.instruments.select("no_trades", "missing").row(0) == (2, 4)


def test_nothing_stored_is_nothing_covered() -> None:
    coverage = map_coverage({BTC: {}})

    assert coverage.instruments.row(0) == (BTC, None, None, 0, 0, *[None] * 6)
    assert coverage.missing_months.schema == MISSING_MONTHS_SCHEMA
    assert coverage.gaps.equals(COVERAGE_GAPS_SCHEMA.to_frame())


def test_a_month_that_is_not_over_is_covered_up_to_its_last_judged_slot() -> None:
    noon = datetime(2024, 1, 5, 12, tzinfo=UTC)

    assert covered_until("2024-01", {"bars": 4 * 96 + 40, "gaps": [gap(noon - 8 * BAR, 8, "missing")]}) == noon
    assert covered_until("2024-02", {"bars": 29 * 96, "gaps": []}) == datetime(2024, 3, 1, tzinfo=UTC)

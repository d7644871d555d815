"""How assets are cut, month × instrument for market data, one key per optimization round; and how old they may be."""

from datetime import timedelta

import dagster as dg

INSTRUMENTS = dg.DynamicPartitionsDefinition(name="instrument")
"""Instrument ids of `helios.toml`; added when a run needs them."""

# Binance listed its first USD-M contract in September 2019; the current month is a partition too.
MONTHS = dg.MonthlyPartitionsDefinition(start_date="2019-09-01", end_offset=1)

MONTH_BY_INSTRUMENT = dg.MultiPartitionsDefinition({"month": MONTHS, "instrument": INSTRUMENTS})

ROUNDS = dg.DynamicPartitionsDefinition(name="round")
"""Optimization rounds by name; a round's name says its window and hashes what it searched."""

DAILY = dg.FreshnessPolicy.cron(deadline_cron="0 3 * * *", lower_bound_delta=timedelta(hours=3), timezone="UTC")
"""Of market data: refreshed between midnight and 03:00 UTC."""

QUARTERLY = dg.FreshnessPolicy.time_window(warn_window=timedelta(days=60), fail_window=timedelta(days=90))
"""Of rounds: searched again before a champion, which is valid for three months as shipped, expires."""


def month_key(instrument: str, month: str) -> dg.MultiPartitionKey:
    """Dagster's key of a month (`YYYY-MM`) of an instrument."""
    return dg.MultiPartitionKey({"month": f"{month}-01", "instrument": instrument})


def instrument_and_month(key: str) -> tuple[str, str]:
    """The instrument id and month (`YYYY-MM`) of Dagster's key."""
    parts = MONTH_BY_INSTRUMENT.get_partition_key_from_str(key).keys_by_dimension
    return parts["instrument"], parts["month"][:7]

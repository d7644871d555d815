"""Months, days and bars of UTC time."""

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

from helios_pipeline.core.errors import SettingsError

BAR_INTERVAL = timedelta(minutes=15)
SPELLING = re.compile(r"[1-9][0-9]{3}-(0[1-9]|1[0-2])")
"""Of a month."""


def month_start(month: str) -> datetime:
    """First instant of a month.

    Args:
        month: `YYYY-MM`.

    Raises:
        SettingsError: `month` is not of that form.
    """
    # strptime would take 2024-1 too, but a month is part of names, so it has one spelling.
    if SPELLING.fullmatch(month) is None:
        raise SettingsError(f"month: expected YYYY-MM such as 2024-01, found {month!r}")
    return datetime.strptime(month, "%Y-%m").replace(tzinfo=UTC)


def next_month(month: str, months: int = 1) -> str:
    """The month that many months later, or earlier if negative, as `YYYY-MM`."""
    start = month_start(month)
    index = start.year * 12 + start.month - 1 + months
    return f"{index // 12:04d}-{index % 12 + 1:02d}"


def months_between(first: str, last: str) -> list[str]:
    """Every month from `first` to `last`, both included; empty if `last` is earlier."""
    count = (month_start(last).year - month_start(first).year) * 12 + month_start(last).month - month_start(first).month
    return [next_month(first, k) for k in range(count + 1)]


def days_of_month(month: str) -> Iterator[date]:
    """Each day of a month."""
    day, end = month_start(month), month_start(next_month(month))
    while day < end:
        yield day.date()
        day += timedelta(days=1)

"""What a record must be for books to be reckoned with it: looked at before it is written, since a log keeps it."""

from dataclasses import fields
from decimal import Decimal

from helios_pipeline.core.errors import JournalError
from helios_pipeline.core.trading import JournalRecord, VenueFill

PLACES = 100
"""Digits that an amount may have on either side of its point: far beyond any venue's, far below what sums can hold."""


def check_amounts(record: JournalRecord) -> None:
    """Refuse a record that books can't be reckoned with.

    Raises:
        JournalError: an amount is not finite or of an absurd size, or a fill has no direction or quantity.
    """
    for field in fields(record):
        value = getattr(record, field.name)
        if isinstance(value, Decimal) and not _plausible(value):
            raise JournalError(
                f"{type(record).__name__}.{field.name}: expected a finite amount of at most {PLACES} digits on either "
                f"side of its point, found {value!s:.60}."
            )
    if isinstance(record, VenueFill) and (record.side not in (-1, 1) or record.quantity <= 0):
        raise JournalError(
            f"fill {record.venue_fill_id}: expected side −1 or +1 and a positive quantity, found side {record.side}, "
            f"quantity {record.quantity}."
        )


def _plausible(value: Decimal) -> bool:
    exponent = value.as_tuple().exponent
    return isinstance(exponent, int) and exponent >= -PLACES and value.adjusted() < PLACES

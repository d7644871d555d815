"""Funding payments in exact integers."""

from helios_pipeline.features.compiled import allocation_free

RATE_UNITS = 10_000_000_000
"""A funding rate is counted in 1e-10 of the notional per interval."""

LARGEST_RATE = RATE_UNITS // 20
"""5 % per settlement, above every venue's cap; larger is an error in the data, and could overflow the product."""

MARK_PRICE, BAR_OPEN, LAST_CLOSE = 0, 1, 2
MARK_SOURCES = ("mark_price", "open", "last_close")
"""Where the mark of a payment came from, by code."""


@allocation_free
def payment_quanta(position_marks: int, lot_denominator: int, rate: int) -> int:
    """Cash that a settlement moves: −position × mark × rate, half a quantum rounded away from zero.

    The product of three numbers does not fit 64 bits, so it is divided as it is built; the result is exact.

    Args:
        position_marks: signed lots × lot numerator × mark in quanta.
        lot_denominator: the lot is numerator / denominator of the base currency; at most 10^8.
        rate: the settled rate in units of 1e-10, at most `LARGEST_RATE` in magnitude.

    Returns:
        Quanta received, negative when paid.
    """
    magnitude, size = abs(position_marks), abs(rate)
    low = (magnitude % RATE_UNITS) * size
    whole = (magnitude // RATE_UNITS) * size + low // RATE_UNITS
    rest = (whole % lot_denominator) * RATE_UNITS + low % RATE_UNITS
    quanta = whole // lot_denominator + (2 * rest >= lot_denominator * RATE_UNITS)
    return -quanta if (position_marks > 0) == (rate > 0) else quanta

"""A paper account counted again from its records, in fractions and by other rules than the venue's own."""

from collections import defaultdict
from fractions import Fraction

from helios_pipeline.core.trading import FundingPayment, Intent, OrderEvent, Transfer, VenueFill
from helios_pipeline.core.venues import AccountHistory


def recount(records):
    """Cash, positions and filled quantities, each summed over everything there is."""
    cash = Fraction(0)
    positions, filled = defaultdict(Fraction), defaultdict(Fraction)
    for record in records:
        match record:
            case Transfer() | FundingPayment():
                cash += Fraction(record.amount)
            case VenueFill():
                notional = Fraction(record.quantity) * Fraction(record.price)
                cash -= record.side * notional + Fraction(record.fee)
                positions[record.instrument_id] += record.side * Fraction(record.quantity)
                filled[record.client_order_id] += Fraction(record.quantity)
    return cash, {i: q for i, q in positions.items() if q}, dict(filled)


def history_of(records, account):
    """What a journal would hand out: each kind by itself, in its order."""

    def of(kind):
        return tuple(record for record in records if isinstance(record, kind))

    return AccountHistory(
        account=account,
        intents=of(Intent),
        order_events=of(OrderEvent),
        fills=of(VenueFill),
        funding=of(FundingPayment),
        transfers=of(Transfer),
    )

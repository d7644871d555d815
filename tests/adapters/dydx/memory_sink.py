"""A journal in memory, with the natural keys of the real one."""

from helios_pipeline.core.trading import FundingPayment, Intent, OrderEvent, Transfer, VenueFill
from helios_pipeline.core.venues import AccountHistory


class MemorySink:
    def __init__(self, account):
        self.account, self.records, self._keys = account, [], set()

    def append(self, record):
        assert record.account == self.account
        key = _key(record)
        if key is not None and key in self._keys:
            return None
        self._keys.add(key)
        self.records.append(record)
        return len(self.records)

    def of(self, kind):
        return tuple(record for record in self.records if isinstance(record, kind))

    def history(self):
        return AccountHistory(
            account=self.account,
            intents=self.of(Intent),
            order_events=self.of(OrderEvent),
            fills=self.of(VenueFill),
            funding=self.of(FundingPayment),
            transfers=self.of(Transfer),
        )

    @property
    def quote_balance(self):
        """What the records make of the account's cash."""
        fills = sum(-fill.side * fill.quantity * fill.price - fill.fee for fill in self.of(VenueFill))
        moved = sum(each.amount for each in (*self.of(FundingPayment), *self.of(Transfer)))
        return fills + moved

    def position(self, instrument_id):
        return sum(fill.side * fill.quantity for fill in self.of(VenueFill) if fill.instrument_id == instrument_id)


def _key(record):
    match record:
        case VenueFill():
            return "fill", record.venue_fill_id
        case FundingPayment():
            return "funding", record.instrument_id, record.settled_at
        case Transfer():
            return "transfer", record.transfer_id
        case Intent():
            return "intent", record.client_order_id
    return None

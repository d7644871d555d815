"""What the running strategy keeps of one market: its holding, its orders, when it was last heard."""

from dataclasses import dataclass, field
from decimal import Decimal

from nautilus_trader.model.instruments import Instrument
from nautilus_trader.model.objects import Price, Quantity

from helios_pipeline.core.trading import Purpose
from helios_pipeline.strategy.desk import RestoredMarket
from helios_pipeline.strategy.holding import FOREIGN, FilledLots, Holding, SentOrder, after_fill, is_new_fill, remember
from helios_pipeline.strategy.terms import Terms


@dataclass(slots=True, kw_only=True)
class MarketBook:
    """One market; stamps in nanoseconds.

    Attributes:
        index: of the market.
        signal: instrument that is heard.
        traded: instrument that is traded.
        holding: position.
        terms: that it is traded on; None for none.
        sent: newest orders, id → what for, oldest first.
        taken: ids of the newest fills that are in the holding, oldest first.
        newest: purpose → id of the newest order for it.
        close_ticks: last close seen, in ticks of the signal.
        closed_at, quoted_at: when the last bar closed and the last quote came.
        decided_at: newest boundary decided.
        tried_at: purpose → when an order for it was last sent.
        failures: exits and stops that ended unfilled since the last fill.
        waiting: why the exit waits, as it was said last; empty for not since the last fill.
        retrying: whether an alert is set at which its orders are looked at again.
    """

    index: int
    signal: Instrument
    traded: Instrument
    holding: Holding = field(default_factory=Holding)
    terms: Terms | None = None
    sent: dict[str, SentOrder] = field(default_factory=dict)
    taken: dict[str, None] = field(default_factory=dict)
    newest: dict[Purpose, str] = field(default_factory=dict)
    close_ticks: int = 0
    closed_at: int = 0
    quoted_at: int = 0
    decided_at: int = 0
    tried_at: dict[Purpose, int] = field(default_factory=dict)
    failures: int = 0
    waiting: str = ""
    retrying: bool = False

    def quantity(self, lots: int) -> Quantity:
        """Lots as an exact quantity."""
        return Quantity.from_raw(lots * self.traded.size_increment.raw, self.traded.size_precision)

    def price(self, ticks: int) -> Price:
        """Ticks of the traded instrument as an exact price."""
        return Price.from_raw(ticks * self.traded.price_increment.raw, self.traded.price_precision)

    def lots(self, quantity: Quantity) -> int:
        """A quantity in lots."""
        return int(quantity.raw) // int(self.traded.size_increment.raw)

    def ticks(self, price: Price) -> int:
        """A fill's price in ticks of the traded instrument."""
        return int(price.raw) // int(self.traded.price_increment.raw)

    @property
    def tick(self) -> float:
        """Price step of the traded instrument."""
        return float(self.traded.price_increment.as_decimal())

    def take_close(self, close: Price, closed_at: int) -> None:
        """Note a closed bar of the signal instrument."""
        self.close_ticks = int(close.raw) // int(self.signal.price_increment.raw)
        self.closed_at = closed_at

    def value_of_lot(self) -> int:
        """Quanta of one tick of the signal times one lot; 0 without terms."""
        return 0 if self.terms is None else int(self.terms.contracts[self.index]["quanta_per_tick_lot"])

    def note_sent(self, order_id: str, order: SentOrder) -> None:
        """Remember what an order is for."""
        remember(self.sent, order_id, order)
        self.newest[order.purpose] = order_id

    def take_fill(self, order_id: str, fill_id: str, fill: FilledLots, interval_ns: int) -> None:
        """Let a fill change the holding, once."""
        if not is_new_fill(self.taken, fill_id):
            return
        self.failures, self.waiting = 0, ""
        bars = 0 if self.terms is None else self.terms.parameters.cooldown_bars
        self.holding = after_fill(self.holding, fill, self.sent.get(order_id, FOREIGN), bars * interval_ns)

    def restore(self, left: RestoredMarket) -> None:
        """Go on from what the journal left."""
        self.holding, self.decided_at = left.holding, left.decided_at or self.decided_at
        self.taken = dict.fromkeys(left.taken)
        for order_id, order in left.sent.items():
            self.note_sent(order_id, order)
        if left.close:
            tick = self.signal.price_increment.as_decimal()
            self.close_ticks = int(Decimal(left.close) / tick)

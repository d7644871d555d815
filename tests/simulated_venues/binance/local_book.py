"""A client's book, kept as Binance documents it in "How to manage a local order book correctly" (USDⓈ-M Futures)."""

from dataclasses import dataclass, field


@dataclass
class LocalBook:
    """Events wait for a snapshot; from then on each has to join the one before, else a new snapshot is needed.

    Attributes:
        breaks: how often an event did not join.
        needs_snapshot: whether one has to be fetched now.
    """

    breaks: int = 0
    needs_snapshot: bool = True
    bids: dict[str, str] = field(default_factory=dict)
    asks: dict[str, str] = field(default_factory=dict)
    last_id: int = -1
    _has_joined: bool = False
    _waiting: list[dict] = field(default_factory=list)

    def reset(self, snapshot: dict) -> None:
        self.bids, self.asks = dict(snapshot["bids"]), dict(snapshot["asks"])
        self.last_id, self._has_joined, self.needs_snapshot = snapshot["lastUpdateId"], False, False
        waiting, self._waiting = self._waiting, []
        for event in waiting:
            self.apply(event)

    def apply(self, event: dict) -> None:
        if self.needs_snapshot:
            self._waiting.append(event)
            return
        if not self._has_joined and event["u"] < self.last_id:
            return
        overlaps = not self._has_joined and event["U"] <= self.last_id
        if not overlaps and event["pu"] != self.last_id:
            self.breaks += 1
            self.needs_snapshot = True
            self._waiting = [event]
            return
        self._has_joined, self.last_id = True, event["u"]
        _change(self.bids, event["b"])
        _change(self.asks, event["a"])


def _change(side: dict[str, str], changes: list[list[str]]) -> None:
    for price, quantity in changes:
        if float(quantity):
            side[price] = quantity
        else:
            side.pop(price, None)

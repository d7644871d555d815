"""Accounts' orders that are not done: on the book by price and time, or waiting for a trigger, and when they end."""

import heapq
from bisect import bisect_left, insort
from collections.abc import Iterator
from dataclasses import dataclass, field

from simulated_venues.dydx.records import Moment, Order, OrderId, Side, SubaccountId
from simulated_venues.dydx.state import Canceled, Finished, Table, Working

OTHER_SIDE = {Side.BUY: Side.SELL, Side.SELL: Side.BUY}


@dataclass(slots=True)
class RestingSide:
    """One side of the accounts' own book.

    Attributes:
        sign: −1 for bids, so that the smallest `sign × price` is the best price.
    """

    sign: int
    _prices: list[int] = field(default_factory=list)
    _queues: dict[int, list[Working]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self._prices)

    def best(self) -> Working | None:
        """First in price, then in time."""
        return self._queues[self._prices[0]][0] if self._prices else None

    def at_or_better(self, subticks: int) -> list[Working]:
        """Orders at a price or better, in the order in which they are filled."""
        limit, found = self.sign * subticks, list[Working]()
        for price in self._prices:
            if price > limit:
                break
            found += self._queues[price]
        return found

    def __iter__(self) -> Iterator[Working]:
        for price in self._prices:
            yield from self._queues[price]

    def add(self, working: Working) -> None:
        """Put an order behind the others at its price that are older."""
        price = self.sign * working.order.subticks
        queue = self._queues.get(price)
        if queue is None:
            insort(self._prices, price)
            self._queues[price] = [working]
        else:
            insort(queue, working, key=_age)

    def remove(self, working: Working) -> None:
        """Take an order off."""
        price = self.sign * working.order.subticks
        queue = self._queues[price]
        queue.remove(working)
        if not queue:
            del self._queues[price]
            del self._prices[bisect_left(self._prices, price)]


@dataclass(slots=True)
class Orders:
    """Every order that is not done, and what is remembered of short-term ones that are.

    Attributes:
        working, finished, canceled: by order id.
    """

    working: Table[OrderId, Working] = field(default_factory=Table)
    finished: Table[OrderId, Finished] = field(default_factory=Table)
    canceled: Table[OrderId, Canceled] = field(default_factory=Table)
    _books: dict[tuple[int, Side], RestingSide] = field(default_factory=dict)
    _waiting: dict[OrderId, Working] = field(default_factory=dict)
    _stateful: dict[SubaccountId, int] = field(default_factory=dict)
    _reducing: dict[tuple[SubaccountId, int], dict[OrderId, Working]] = field(default_factory=dict)
    _ends_by_block: dict[int, dict[OrderId, None]] = field(default_factory=dict)
    _ends_by_time: list[tuple[int, int, OrderId]] = field(default_factory=list)
    _pushed: int = 0

    def book(self, clob_pair_id: int, side: Side) -> RestingSide:
        """Resting bids (BUY) or asks (SELL)."""
        key = (clob_pair_id, side)
        book = self._books.get(key)
        if book is None:
            book = self._books[key] = RestingSide(-1 if side is Side.BUY else 1)
        return book

    def rests(self, clob_pair_id: int) -> bool:
        """Whether anything rests in a market."""
        return any(self._books.get((clob_pair_id, side)) for side in Side)

    def order(self, order_id: OrderId) -> Order | None:
        """An order that is not done."""
        working = self.working.rows.get(order_id)
        return working.order if working is not None else None

    def waiting(self) -> list[Working]:
        """Conditional orders whose trigger has not been met, oldest first."""
        return sorted(self._waiting.values(), key=_age)

    def stateful_count(self, subaccount: SubaccountId) -> int:
        """Open stateful orders of a subaccount."""
        return self._stateful.get(subaccount, 0)

    def reducing(self, subaccount: SubaccountId, clob_pair_id: int) -> list[Working]:
        """Resting reduce-only orders of a subaccount in a market."""
        return sorted(self._reducing.get((subaccount, clob_pair_id), {}).values(), key=_age)

    def filled_quantums(self, order_id: OrderId) -> int:
        """How much of an order, working or remembered, is filled."""
        working = self.working.rows.get(order_id)
        if working is not None:
            return working.filled_quantums
        finished = self.finished.rows.get(order_id)
        return finished.filled_quantums if finished is not None else 0

    def add(self, working: Working) -> None:
        """Take an order in: on the book, or among those that wait."""
        order, order_id = working.order, working.order.order_id
        self.working.put(order_id, working)
        self.finished.drop(order_id)
        if working.is_short_term:
            self._remember_end(order_id, order.good_til_block or 0)
        else:
            self._stateful[order_id.subaccount] = self.stateful_count(order_id.subaccount) + 1
            self._pushed += 1
            heapq.heappush(self._ends_by_time, (order.good_til_seconds or 0, self._pushed, order_id))
        if working.is_waiting:
            self._waiting[order_id] = working
            return
        self.book(order_id.clob_pair_id, order.side).add(working)
        if order.reduce_only:
            self._reducing.setdefault((order_id.subaccount, order_id.clob_pair_id), {})[order_id] = working

    def remove(self, working: Working) -> None:
        """An order is done."""
        order_id = working.order.order_id
        self.working.drop(order_id)
        if working.is_short_term:
            self.remember_filled(working)
        else:
            self._stateful[order_id.subaccount] -= 1
        if working.is_waiting:
            del self._waiting[order_id]
            return
        self.book(order_id.clob_pair_id, working.order.side).remove(working)
        if working.order.reduce_only:
            del self._reducing[order_id.subaccount, order_id.clob_pair_id][order_id]

    def remember_filled(self, working: Working) -> None:
        """Remember a short-term order that is done, if any of it was filled."""
        order = working.order
        if working.filled_quantums and order.good_til_block is not None:
            row = Finished(
                order_id=order.order_id,
                filled_quantums=working.filled_quantums,
                good_til_block=order.good_til_block,
            )
            self.finished.put(order.order_id, row)
            self._remember_end(order.order_id, order.good_til_block)

    def remember_canceled(self, order_id: OrderId, good_til_block: int) -> None:
        """Remember a short-term order's cancel."""
        self.canceled.put(order_id, Canceled(order_id=order_id, good_til_block=good_til_block))
        self._remember_end(order_id, good_til_block)

    def expired(self, moment: Moment) -> list[Working]:
        """Orders that a block ends, oldest first: their last block is past, or their last second is.

        What was remembered until a block before this one is forgotten.
        """
        found = []
        for height in sorted(each for each in self._ends_by_block if each < moment.height):
            for order_id in self._ends_by_block.pop(height):
                found += self._ended(order_id, height)
        while self._ends_by_time and self._ends_by_time[0][0] * 1_000 <= moment.at_ms:
            seconds, _, order_id = heapq.heappop(self._ends_by_time)
            working = self.working.get(order_id)
            if working is not None and working.order.good_til_seconds == seconds and working not in found:
                found.append(working)
        return sorted(found, key=_age)

    def restore(self, rows: list[Working | Finished | Canceled]) -> None:
        """Take in what another exchange remembered."""
        for row in rows:
            if isinstance(row, Working):
                self.add(row)
            elif isinstance(row, Finished):
                self.finished.put(row.order_id, row)
                self._remember_end(row.order_id, row.good_til_block)
            else:
                self.remember_canceled(row.order_id, row.good_til_block)

    def _remember_end(self, order_id: OrderId, height: int) -> None:
        self._ends_by_block.setdefault(height, {})[order_id] = None

    def _ended(self, order_id: OrderId, height: int) -> list[Working]:
        finished, canceled = self.finished.get(order_id), self.canceled.get(order_id)
        if finished is not None and finished.good_til_block <= height:
            self.finished.drop(order_id)
        if canceled is not None and canceled.good_til_block <= height:
            self.canceled.drop(order_id)
        working = self.working.get(order_id)
        return [working] if working is not None and working.order.good_til_block == height else []


def crosses(order: Order, subticks: int) -> bool:
    """Whether an order would take an offer at a price."""
    return order.subticks >= subticks if order.side is Side.BUY else order.subticks <= subticks


def _age(working: Working) -> tuple[int, int]:
    return working.height, working.place

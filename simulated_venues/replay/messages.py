"""Reads a raw recording of Binance's USD-M WebSocket: gzipped lines of `local_ns {json}`.

Messages are `@trade`, `@bookTicker` and `@depth` of one symbol, and one REST depth snapshot which the depth updates
join (Binance, "How to manage a local order book correctly", 2024: the first update used holds the snapshot's id, and
each one's `pu` is the `u` before it). A recording that lost a message is refused, naming the line.
"""

import gzip
import hashlib
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from helios_pipeline.core.errors import DataError
from simulated_venues.bars import Trades
from simulated_venues.columns import slice_columns
from simulated_venues.replay.files import RecordedInstrument

Integers = NDArray[np.int64]
_Side = tuple[tuple[str, str], ...]

_OFF_GRID = 1e-3


@dataclass(frozen=True, eq=False, kw_only=True)
class LevelChanges:
    """Quantities set in a book, one element a level, in the order of their setting.

    Attributes:
        at_ms: int64, when it was set, by the venue's clock.
        is_bid: bool, the side.
        price: int64, ticks.
        quantity: int64, lots; 0 takes the level away.
    """

    at_ms: Integers
    is_bid: NDArray[np.bool_]
    price: Integers
    quantity: Integers


@dataclass(frozen=True, eq=False, kw_only=True)
class BestPrices:
    """Recorded `bookTicker` messages: int64 each; ticks and lots."""

    at_ms: Integers
    update_id: Integers
    bid: Integers
    ask: Integers
    bid_quantity: Integers
    ask_quantity: Integers


@dataclass(frozen=True, eq=False, kw_only=True)
class RawRecording:
    """What a recording holds, by the venue's clock.

    Attributes:
        snapshot_ms: when the snapshot was taken; the recording begins here.
        last_ms: the last message's time.
        trades: in order of time, ids without a gap; those before the snapshot are left out.
        best: best prices as recorded.
        update_id: int64[updates + 1], id of the snapshot and of every update that follows it.
        updated_at_ms: int64[updates + 1], their times.
        level_ends: int64[updates + 1], where each one's levels end in `levels`.
        levels: the snapshot's levels, then every change.
        digest: of the messages, 16 hexadecimal digits.
    """

    snapshot_ms: int
    last_ms: int
    trades: Trades
    best: BestPrices
    update_id: Integers
    updated_at_ms: Integers
    level_ends: Integers
    levels: LevelChanges
    digest: str


class _Data(msgspec.Struct, frozen=True, gc=False):
    """Any stream's payload; what a kind of message lacks stays empty. Sides are a price or a list of levels."""

    kind: str = msgspec.field(name="e")
    at_ms: int = msgspec.field(name="T")
    symbol: str = msgspec.field(name="s")
    trade_id: int = msgspec.field(name="t", default=0)
    price: str = msgspec.field(name="p", default="")
    quantity: str = msgspec.field(name="q", default="")
    buyer_is_maker: bool = msgspec.field(name="m", default=False)
    first_id: int = msgspec.field(name="U", default=0)
    last_id: int = msgspec.field(name="u", default=0)
    id_before: int = msgspec.field(name="pu", default=0)
    bids: str | _Side = msgspec.field(name="b", default="")
    asks: str | _Side = msgspec.field(name="a", default="")
    bid_quantity: str = msgspec.field(name="B", default="")
    ask_quantity: str = msgspec.field(name="A", default="")


class _Message(msgspec.Struct, frozen=True, gc=False):
    """A line: a stream's message, or the depth snapshot."""

    data: _Data | None = None
    snapshot_id: int = msgspec.field(name="lastUpdateId", default=0)
    at_ms: int = msgspec.field(name="T", default=0)
    bids: _Side = ()
    asks: _Side = ()


@dataclass(slots=True)
class _Reader:
    """Collects messages line by line; prices and quantities stay text until all are read."""

    path: Path
    symbol: str
    trades: list[_Data] = field(default_factory=list)
    best: list[_Data] = field(default_factory=list)
    updates: list[tuple[int, _Data]] = field(default_factory=list)
    snapshot: tuple[int, _Message] | None = None
    last_ms: int = 0

    def take(self, line: int, message: _Message) -> None:
        """Keep one message."""
        data = message.data
        if data is None:
            self.snapshot = self.snapshot or (line, message)
            return
        if data.symbol != self.symbol:
            raise self.refusal(line, f"messages of {self.symbol}", data.symbol)
        self.last_ms = max(self.last_ms, data.at_ms)
        if data.kind == "trade":
            if self.trades and data.trade_id != self.trades[-1].trade_id + 1:
                raise self.refusal(line, f"trade {self.trades[-1].trade_id + 1}", data.trade_id)
            self.trades.append(data)
        elif data.kind == "bookTicker":
            self.best.append(data)
        elif data.kind == "depthUpdate":
            self.updates.append((line, data))
        else:
            raise self.refusal(line, "trade, bookTicker or depthUpdate", data.kind)

    def joined(self) -> tuple[_Message, list[_Data]]:
        """The snapshot and the updates that follow it without a gap."""
        if self.snapshot is None or not self.trades or not self.best:
            raise DataError(
                f"{self.path}: expected a depth snapshot, trades and best prices of {self.symbol}, found "
                f"{len(self.trades)} trades, {len(self.best)} best prices and {'a' if self.snapshot else 'no'} "
                "snapshot. Record all of them in one file."
            )
        line, snapshot = self.snapshot
        following = [(n, update) for n, update in self.updates if update.last_id >= snapshot.snapshot_id]
        if not following or following[0][1].first_id > snapshot.snapshot_id:
            found = following[0][1].first_id if following else "none"
            raise self.refusal(line, f"an update that holds the snapshot's id {snapshot.snapshot_id}", found)
        for (_, before), (n, update) in pairwise(following):
            if update.id_before != before.last_id:
                raise self.refusal(n, f"an update that follows {before.last_id}", f"pu {update.id_before}")
        return snapshot, [update for _, update in following]

    def refusal(self, line: int, expected: str, found: object) -> DataError:
        return DataError(
            f"{self.path} line {line}: expected {expected}, found {found}. The recording lost messages or is damaged; "
            "cut it before this line or record again."
        )


def read_raw_recording(path: Path, instrument: RecordedInstrument) -> RawRecording:
    """Read and check a whole recording; some seconds for a hundred thousand messages.

    Args:
        path: the gzipped file.
        instrument: what was recorded, with its steps of price and quantity.

    Raises:
        DataError: the file can't be read, a message is damaged, or messages were lost.
    """
    reader, digest = _Reader(path=path, symbol=instrument.symbol), hashlib.sha256()
    decode = msgspec.json.Decoder(_Message).decode
    for number, line in _lines(path):
        digest.update(line)
        try:
            reader.take(number, decode(line.split(b" ", 1)[1]))
        except (msgspec.DecodeError, IndexError) as error:
            raise reader.refusal(number, "local_ns {json} of a known stream", repr(error)) from error
    snapshot, updates = reader.joined()
    messages = [
        (snapshot.at_ms, snapshot.bids, snapshot.asks),
        *((update.at_ms, update.bids, update.asks) for update in updates),
    ]
    tick, lot = instrument.tick, instrument.lot
    trades = _trades_of(reader, tick, lot)
    begin = int(np.searchsorted(trades.traded_at_ms, snapshot.at_ms))
    return RawRecording(
        snapshot_ms=snapshot.at_ms,
        last_ms=reader.last_ms,
        trades=slice_columns(trades, begin, len(trades)),
        best=_best_of(reader, tick, lot),
        update_id=np.array([snapshot.snapshot_id, *(update.last_id for update in updates)], np.int64),
        updated_at_ms=np.array([at_ms for at_ms, _, _ in messages], np.int64),
        level_ends=np.cumsum([len(bids) + len(asks) for _, bids, asks in messages], dtype=np.int64),
        levels=_levels_of(reader, messages, tick, lot),
        digest=digest.hexdigest()[:16],
    )


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    number = 0
    try:
        with gzip.open(path) as file:
            for number, line in enumerate(file, 1):
                yield number, line
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"{path} after line {number}: expected a readable gzipped recording, found {error}. Record it again."
        ) from error


def _trades_of(reader: _Reader, tick: Decimal, lot: Decimal) -> Trades:
    return Trades(
        trade_id=np.array([trade.trade_id for trade in reader.trades], np.int64),
        traded_at_ms=np.array([trade.at_ms for trade in reader.trades], np.int64),
        price=_steps(reader, [trade.price for trade in reader.trades], tick),
        quantity=_steps(reader, [trade.quantity for trade in reader.trades], lot),
        buyer_is_maker=np.array([trade.buyer_is_maker for trade in reader.trades], np.bool_),
    )


def _best_of(reader: _Reader, tick: Decimal, lot: Decimal) -> BestPrices:
    return BestPrices(
        at_ms=np.array([best.at_ms for best in reader.best], np.int64),
        update_id=np.array([best.last_id for best in reader.best], np.int64),
        bid=_steps(reader, [best.bids for best in reader.best], tick),
        ask=_steps(reader, [best.asks for best in reader.best], tick),
        bid_quantity=_steps(reader, [best.bid_quantity for best in reader.best], lot),
        ask_quantity=_steps(reader, [best.ask_quantity for best in reader.best], lot),
    )


def _levels_of(
    reader: _Reader, messages: list[tuple[int, str | _Side, str | _Side]], tick: Decimal, lot: Decimal
) -> LevelChanges:
    """Levels of all messages, one after another, bids before asks."""
    sides = [(at_ms, is_bid, side) for at_ms, bids, asks in messages for is_bid, side in ((True, bids), (False, asks))]
    lengths = [len(side) for _, _, side in sides]
    return LevelChanges(
        at_ms=np.repeat(np.array([at_ms for at_ms, _, _ in sides], np.int64), lengths),
        is_bid=np.repeat(np.array([is_bid for _, is_bid, _ in sides], np.bool_), lengths),
        price=_steps(reader, [level[0] for _, _, side in sides for level in side], tick),
        quantity=_steps(reader, [level[1] for _, _, side in sides for level in side], lot),
    )


def _steps(reader: _Reader, texts: Sequence[object], step: Decimal) -> Integers:
    """Decimal texts as whole steps."""
    try:
        values = np.array(texts, np.float64) / float(step)
    except (TypeError, ValueError) as error:
        raise DataError(f"{reader.path}: expected prices and quantities, found {error}. Record it again.") from error
    whole = np.rint(values)
    wrong = ~(np.abs(values - whole) < _OFF_GRID)
    if wrong.any():
        raise DataError(
            f"{reader.path}: expected multiples of {step}, found {texts[int(np.argmax(wrong))]}. "
            "Give the instrument the tick and lot that were recorded."
        )
    return whole.astype(np.int64)

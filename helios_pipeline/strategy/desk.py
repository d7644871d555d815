"""What the strategy asks of whoever runs it: a backtest, or the live engine.

Everything that differs between the two stands behind this protocol; the strategy itself is one class.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from nautilus_trader.model.data import Bar

from helios_pipeline.core.records import FeatureSettings
from helios_pipeline.core.trading import Mode, Purpose
from helios_pipeline.features.windows import Floats
from helios_pipeline.strategy.allocation import AccountState
from helios_pipeline.strategy.holding import Holding, SentOrder
from helios_pipeline.strategy.signal import MarketState
from helios_pipeline.strategy.terms import Terms


class Features(NamedTuple):
    """What is known at a boundary, one entry a market; NaN for no value."""

    z_price: Floats
    z_funding: Floats
    volatility: Floats
    atr: Floats


class FeatureSource(Protocol):
    """Where the strategy has its features from: precomputed in a backtest, made from live bars in an engine."""

    def use(self, market: int, lookback_bars: int, settings: FeatureSettings) -> None:
        """From now on make a market's features so; before the first call it has none."""

    def take_bar(self, market: int, bar: Bar) -> None:
        """Learn a closed bar."""

    def at(self, boundary_ns: int) -> Features:
        """Features of the bars that closed at a boundary; a market without such a bar has no value."""


class MarketDecision(NamedTuple):
    """What was decided for one market; see `core.trading.Decision`.

    Attributes:
        market: its index.
        manifest_hash: of the terms; empty for none.
        state: before the decision.
        lots, leaving: of the position, before the decision.
        has_bar: whether a bar closed at the boundary.
        wanted: what `decide` said.
        outcome: what became of it.
        entry_lots: of the entry; 0 for none.
    """

    market: int
    manifest_hash: str
    state: MarketState
    lots: int
    leaving: str
    has_bar: bool
    wanted: int
    outcome: str
    entry_lots: int


class BoundaryDecision(NamedTuple):
    """What was decided together: all markets of one boundary, or one whose bar came after the others had decided.

    Attributes:
        closed_at: the boundary, in nanoseconds.
        decided_at: when, in nanoseconds.
        features: of every market.
        closes: last closes, in ticks of the signal instruments, of every market.
        account: what the allocation was given.
        mode: of the kill switch.
        late: whether the boundary had passed too long ago to enter.
        markets: those that decided.
    """

    closed_at: int
    decided_at: int
    features: Features
    closes: tuple[int, ...]
    account: AccountState
    mode: Mode
    late: bool
    markets: tuple[MarketDecision, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoredMarket:
    """A market as the journal left it.

    Attributes:
        holding: the position.
        manifest_hash: of the terms it was opened on, or last decided on; empty for none.
        decided_at: newest boundary that was decided, in nanoseconds; 0 for never.
        close: of the newest decision that had a bar, as decimal text; empty for none.
        sent: orders, client order id → what for, oldest first.
        taken: the venue's ids of the newest fills that are in the holding, oldest first.
    """

    holding: Holding
    manifest_hash: str
    decided_at: int
    close: str
    sent: Mapping[str, SentOrder]
    taken: Sequence[str]


class Desk(Protocol):
    """Who runs the strategy. Markets are named by their index, in the order of the strategy's bar types."""

    def terms(self) -> Terms | None:
        """What may be traded now; None: enter nothing."""

    def terms_of(self, manifest_hash: str) -> Terms | None:
        """Terms of a champion that was in force once, to manage what was opened on them; None if they are lost."""

    def took_over(self, manifest_hash: str, markets: Sequence[int]) -> None:
        """Hear that markets are traded on a champion from now on."""

    def restored(self, market: int) -> RestoredMarket | None:
        """The market as it was left; None: it begins flat, now."""

    def missed_bars(self, since_ns: int) -> Sequence[Bar]:
        """Bars that closed after an instant and before the start, oldest first."""

    def equity_quanta(self, closes: Sequence[int]) -> int:
        """Cash after everything bought and sold, and what is held at these closes (ticks of the signal instruments)."""

    def mode(self) -> Mode:
        """State of the kill switch."""

    def blocked(self, market: int) -> str:
        """Why a market may not be entered now; empty when it may."""

    def waits(self, market: int, purpose: Purpose) -> str:
        """Why not even an exit or a stop can be sent now (an order of unknown outcome, HALTED); empty when it can."""

    def next_order_id(self) -> str | None:
        """Id of the next order; None leaves it to NautilusTrader."""

    def record(self, decision: BoundaryDecision) -> None:
        """Make a decision durable, before any of its orders is sent.

        Raises:
            JournalError: it could not be written: nothing may be sent.
        """

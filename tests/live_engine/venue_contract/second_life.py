"""The engine that takes over from a killed one: what it finds, what it does, and what all sides say in the end."""

from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from nautilus_trader.model.events import OrderFilled

from helios_pipeline.core.trading import FundingPayment, VenueFill
from helios_pipeline.core.venues import VenueAccount
from tests.live_engine.venue_contract.case import VenueCase
from tests.live_engine.venue_contract.engine import Engine, running

_FAR = (Decimal("1.2"), Decimal("1.3"))


@dataclass
class Sides:
    """The same account as three know it, at one moment without anything under way."""

    venue: VenueAccount
    quote_balance: Decimal
    quantity: Decimal
    fills: tuple[VenueFill, ...]
    funding: tuple[FundingPayment, ...]
    open_ids: set[int]
    nautilus_quantity: Decimal
    nautilus_fills: dict[str, tuple[Decimal, Decimal, Decimal]]
    nautilus_cash: Decimal | None


@dataclass
class SecondLife:
    """What was seen."""

    found: dict[str, object] = field(default_factory=dict)
    at_start: Sides | None = None
    at_end: Sides | None = None
    events: dict[str, list[str]] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    steps: dict[str, Decimal] = field(default_factory=dict)
    untold: list[str] = field(default_factory=list)
    unknown: int = -1
    fills_before_replay: int = -1
    fills_after_replay: int = -1
    told_by_replay: list[str] = field(default_factory=list)


async def sides(engine: Engine) -> Sides:
    found, books, cache = await engine.read(), engine.journal.books, engine.node.cache
    filled = {
        event.trade_id.value: (
            event.last_qty.as_decimal(),
            event.last_px.as_decimal(),
            event.commission.as_decimal(),
        )
        for order in cache.orders()
        for event in order.events
        if isinstance(event, OrderFilled)
    }
    history = books.history()
    return Sides(
        venue=found,
        quote_balance=books.quote_balance,
        quantity=engine.quantity(),
        fills=history.fills,
        funding=history.funding,
        open_ids={line.intent.venue_client_id for line in books.open_orders() if line.intent},
        nautilus_quantity=engine.trader.portfolio.net_position(engine.trader.iid),
        nautilus_fills=filled,
        nautilus_cash=engine.nautilus_cash(),
    )


async def live_again(loop, case: VenueCase, folder: Path, first: dict) -> SecondLife:
    """Take over, and use everything that a venue must be able to do."""
    life = SecondLife()
    async with running(case, folder, loop) as engine:
        life.found = engine.trader.found
        await engine.until(lambda: not engine.journal.books.unknown(), "what became of an unsent intent is known")
        life.unknown = len(engine.journal.books.unknown())
        await engine.until(lambda: engine.journal.history().funding, "funding of the position is booked")
        life.at_start = await sides(engine)
        await _cancel_the_stop(engine, life, first["stop"])
        await _be_stopped_out(engine, life)
        await _enter_and_leave(engine, life)
        await _be_refused(engine, life)
        await _hear_all_again(engine, life)
        life.at_end = await sides(engine)
        life.untold = [str(told.event) for told in engine.trader.told if not told.journalled]
    return life


async def _cancel_the_stop(engine: Engine, life: SecondLife, stop: str) -> None:
    engine.trader.cancel(stop)
    await engine.until(lambda: "OrderCanceled" in engine.trader.of(stop), "a stop of the life before is cancelled")
    life.events["cancelled"] = engine.trader.of(stop)
    life.steps["open_after_cancel"] = Decimal(len((await engine.read()).open_orders))


async def _be_stopped_out(engine: Engine, life: SecondLife) -> None:
    """A stop whose trigger the mark has passed already: it triggers as soon as it is there."""
    stop = engine.trader.protect(-1, Decimal(engine.case.quantity), engine.trader.mark * Decimal("1.01"))
    await engine.until(lambda: engine.quantity() == 0, "a triggered stop closes the position")
    await engine.until(lambda: "OrderFilled" in engine.trader.of(stop), "the stop's fill is told")
    life.events["stopped"] = engine.trader.of(stop)


async def _enter_and_leave(engine: Engine, life: SecondLife) -> None:
    quantity = Decimal(engine.case.quantity)
    entry = engine.trader.market(-1, quantity)
    await engine.until(lambda: engine.quantity() == -quantity, "a short entry fills")
    await _cancel_all(engine, life)
    leaving = engine.trader.market(+1, 3 * quantity, reduce_only=True)
    await engine.until(lambda: engine.quantity() == 0, "a reduce-only order closes the position")
    await engine.until(lambda: engine.has_ended(leaving), "what can't reduce is cancelled")
    life.events |= {"short": engine.trader.of(entry), "leaving": engine.trader.of(leaving)}
    life.steps["left"] = engine.journal.books.orders[leaving].filled


async def _cancel_all(engine: Engine, life: SecondLife) -> None:
    trader = engine.trader
    stops = [trader.protect(+1, Decimal(engine.case.quantity), trader.mark * factor) for factor in _FAR]
    await engine.until(lambda: all("OrderAccepted" in trader.of(each) for each in stops), "two stops rest")
    trader.cancel_all_orders(trader.iid)
    await engine.until(lambda: all("OrderCanceled" in trader.of(each) for each in stops), "both are cancelled")
    life.steps["open_after_cancel_all"] = Decimal(len((await engine.read()).open_orders))


async def _be_refused(engine: Engine, life: SecondLife) -> None:
    refused = engine.trader.market(-1, Decimal(engine.case.quantity), reduce_only=True)
    await engine.until(lambda: engine.has_ended(refused), "an order is refused")
    life.events["refused"] = engine.trader.of(refused)
    life.reasons["refused"] = engine.journal.books.orders[refused].reason
    life.steps["refused"] = engine.journal.books.orders[refused].filled


async def _hear_all_again(engine: Engine, life: SecondLife) -> None:
    """Everything that the venue has is reported once more, as after a reconnect."""
    await engine.until(lambda: engine.trader.portfolio.is_flat(engine.trader.iid), "NautilusTrader is flat")
    await engine.until(lambda: engine.nautilus_cash() == engine.journal.books.quote_balance, "the account is told")
    life.fills_before_replay, before = len(engine.journal.history().fills), len(engine.trader.told)
    assert await engine.node.kernel.exec_engine.reconcile_execution_state(20.0)
    life.fills_after_replay = len(engine.journal.history().fills)
    life.told_by_replay = [type(told.event).__name__ for told in engine.trader.told[before:]]

"""One run of one parameter set over several markets and one account: the order of events, compiled.

At each boundary T_i, in this order: funding settled at T_i; stops already crossed by T_i's open; equity marked at the
closes of the bars ending at T_i; one decision per market, on bar i − 1; exits, then entries in ranking order, at T_i's
open quote; then stops inside bar i. At the span's end nothing is decided: after funding and crossed stops, whatever is
left is closed at a quote made from the last close.

Where a bar is missing: nothing fills at its opening (an entry decided for it is cancelled, an exit waits for the next
open), its close is the last one before it, and its scores are NaN.
"""

from helios_pipeline.features.compiled import inlined, step
from helios_pipeline.simulation.arrays import (
    ENTRY,
    MAX_HOLDING,
    SIGNAL,
    STOP_AT_OPEN,
    STOP_IN_BAR,
    WINDOW_END,
    Book,
    Filled,
    Market,
    Record,
    Records,
    Run,
    Span,
)
from helios_pipeline.simulation.costs import buy_ticks, exit_ticks, fee_quanta, sell_ticks, stop_fill_ticks
from helios_pipeline.simulation.funding import LAST_CLOSE, MARK_PRICE, payment_quanta
from helios_pipeline.strategy.allocation import (
    BELOW_MINIMUM,
    CROWDED_OUT,
    TAKEN,
    WITHOUT_VOLATILITY,
    AccountState,
    Candidates,
    allocate,
    stop_ticks,
)
from helios_pipeline.strategy.signal import MarketState, SignalRule, decide, signal


@step
def run_set(run: Run) -> None:
    """Run one parameter set from flat to flat; the results are in `run.book`, which is overwritten."""
    span, account = run.span, run.book.account[0]
    open_account(span, run.book)
    i = span.start + 1
    while i < span.stop:
        if account.open_positions == 0:
            first, i = i, next_intent(run.market, run.rule, run.book.positions, i, span.stop)
            pass_flat(span, run.book, first, i)
            if i == span.stop:
                break
        else:
            cross_boundary(run, i)
        if decide_markets(run.market, run.rule, run.book, i):
            act(run, i)
        if account.open_positions > 0:
            watch_bar(run, i)
        i += 1
    close_out(run)


@step
def open_account(span: Span, book: Book) -> None:
    """Start flat, with nothing counted."""
    for m in range(len(book.positions)):
        position = book.positions[m]
        position.side = 0
        position.stop = 0
        position.leaving = 0
        position.enter_from = 0
    book.account[0] = book.blank[0]
    account = book.account[0]
    account.cash = span.initial_equity
    account.peak = float(span.initial_equity)
    account.next_day_slot = span.first_day_slot
    account.days = -1
    if len(book.equity) > 0:
        book.equity[0] = span.initial_equity
    if span.first_day_slot == span.start:
        end_day(span, book, float(span.initial_equity))


@inlined
def next_intent(market: Market, rule: SignalRule, positions: Records, first: int, stop: int) -> int:
    """The first boundary from `first` on at which a flat market wants an entry; `stop` if none."""
    for i in range(first, stop):
        for m in range(len(positions)):
            state = MarketState(0, 0, i >= positions[m].enter_from)
            if decide(state, market.z_price[i - 1, m], market.z_funding[i - 1, m], rule) != 0:
                return i
    return stop


@step
def pass_flat(span: Span, book: Book, first: int, last: int) -> None:
    """Mark an account without positions at the boundaries from `first` to `last`, below the span's end."""
    account = book.account[0]
    equity = float(account.cash)
    end = min(last, span.stop - 1)
    if first <= end:
        mark(account, equity)
    while account.next_day_slot <= end:
        end_day(span, book, equity)
    if len(book.equity) > 0:
        for i in range(first, end + 1):
            book.equity[i - span.start] = account.cash


@inlined
def cross_boundary(run: Run, i: int) -> None:
    """Funding, stops crossed by the open, and the mark, at a boundary inside the span."""
    book, slots = run.book, run.market.slots
    account = book.account[0]
    if is_settled_or_stopped(slots, book.positions, i):
        settle_and_stop(run, i)
    equity = account.cash + unrealised(slots, book.positions, i)
    mark(account, float(equity))
    if account.next_day_slot == i:
        end_day(run.span, book, float(equity))
    if len(book.equity) > 0:
        book.equity[i - run.span.start] = equity


@inlined
def is_settled_or_stopped(slots: Records, positions: Records, i: int) -> bool:
    """Whether T_i settles funding of a held market, or opens at or beyond a stop."""
    for m in range(len(positions)):
        position, slot = positions[m], slots[i, m]
        if position.side != 0 and (
            slot.settlement >= 0 or is_crossed(slot.bid, slot.ask, position.side, position.stop)
        ):
            return True
    return False


@step
def settle_and_stop(run: Run, i: int) -> None:
    """Book the settlements at T_i, then fill the stops that its open has crossed."""
    for m in range(len(run.book.positions)):
        if run.book.positions[m].side == 0:
            continue
        if run.market.slots[i, m].settlement >= 0:
            pay_funding(run, m, i)
        stop_at_open(run, m, i)


@inlined
def unrealised(slots: Records, positions: Records, i: int) -> int:
    """Profit of the open positions at the last closes before T_i."""
    profit = 0
    for m in range(len(positions)):
        position = positions[m]
        if position.side != 0:
            profit += position.side * (slots[i - 1, m].close - position.entry_ticks) * position.value
    return profit


@step
def stop_at_open(run: Run, m: int, i: int) -> None:
    """Fill a stop that the quote at T_i lies at or beyond, at that quote; nothing where bar i is missing."""
    position, slot = run.book.positions[m], run.market.slots[i, m]
    if is_crossed(slot.bid, slot.ask, position.side, position.stop):
        leave(run, m, i, exit_ticks(slot.bid, slot.ask, position.side), STOP_AT_OPEN)


@inlined
def is_crossed(bid: int, ask: int, side: int, stop: int) -> bool:
    """Whether a quote lies at or beyond a position's stop; never without a stop or where the bar is missing."""
    return stop > 0 and ask > 0 and (bid <= stop if side > 0 else ask >= stop)


@inlined
def mark(account: Record, equity: float) -> None:
    """Judge equity at a boundary against its peak; drawdowns are fractions ≥ 0 here."""
    if equity >= account.peak:
        account.peak = equity
        return
    lost = account.peak - equity
    if lost > account.drawdown * account.peak:
        account.drawdown = lost / account.peak
    mark_extreme(account, equity)


@inlined
def mark_extreme(account: Record, equity: float) -> None:
    """Judge the worst equity inside a bar against the peak, which it cannot raise."""
    lost = account.peak - equity
    if lost > account.drawdown_intrabar * account.peak:
        account.drawdown_intrabar = lost / account.peak


@step
def end_day(span: Span, book: Book, equity: float) -> None:
    """Note the return of the day that ends; the part of a day before the first midnight is dropped.

    An account that is worth nothing earns nothing: its return is 0.
    """
    account = book.account[0]
    if account.days >= 0:
        before = account.day_equity
        book.daily_returns[account.days] = equity / before - 1.0 if before > 0.0 else 0.0
    account.days += 1
    account.day_equity = equity
    account.next_day_slot += span.slots_per_day


@inlined
def decide_markets(market: Market, rule: SignalRule, book: Book, i: int) -> bool:
    """Every market decides once on bar i − 1, into `intents`; whether anything is to be done at T_i."""
    to_do = False
    for m in range(len(book.positions)):
        position = book.positions[m]
        state = MarketState(position.side, i - position.entry_slot, i >= position.enter_from)
        want = decide(state, market.z_price[i - 1, m], market.z_funding[i - 1, m], rule)
        book.intents[m] = want
        to_do |= want != position.side or position.leaving != 0
    return to_do


@step
def act(run: Run, i: int) -> None:
    """Fill what was decided for T_i: exits, then entries.

    A position whose exit was decided earlier and waits for an open counts as kept: it may still not be filled.
    """
    positions, intents, slots = run.book.positions, run.book.intents, run.market.slots
    equity = run.book.account[0].cash + unrealised(slots, positions, i)
    gross, kept, wanted = 0, 0, 0
    for m in range(len(positions)):
        position = positions[m]
        if position.side == 0:
            wanted += intents[m] != 0
            continue
        if position.leaving == 0 and intents[m] == 0:
            held_out = i - position.entry_slot >= run.rule.max_holding_bars
            position.leaving = MAX_HOLDING if held_out else SIGNAL
        else:
            kept += 1
            gross += slots[i - 1, m].close * position.value
        intents[m] = 0
    fill_exits(run, i)
    if wanted > 0:
        enter_markets(run, i, AccountState(equity, gross, kept))


@step
def fill_exits(run: Run, i: int) -> None:
    """Fill every exit that is due at T_i's quote; where bar i is missing it waits."""
    for m in range(len(run.book.positions)):
        position, slot = run.book.positions[m], run.market.slots[i, m]
        if position.leaving != 0 and slot.ask > 0:
            leave(run, m, i, exit_ticks(slot.bid, slot.ask, position.side), position.leaving)


@step
def enter_markets(run: Run, i: int, state: AccountState) -> None:
    """Allocate the intents of `book` and fill those whose bar i exists."""
    book, market = run.book, run.market
    account, slots = book.account[0], market.slots
    for m in range(len(book.positions)):
        slot = slots[i - 1, m]
        book.closes[m] = slot.close
        book.volatilities[m] = slot.volatility
        book.stop_ranges[m] = slot.atr if run.stop_atr > 0.0 else 0.0
        book.strengths[m] = abs(signal(market.z_price[i - 1, m], market.z_funding[i - 1, m], run.rule.funding_weight))
    candidates = Candidates(book.intents, book.strengths, book.closes, book.volatilities, book.stop_ranges)
    allocate(candidates, state, run.limits, market.contracts, book.lots, book.outcomes)
    for m in range(len(book.positions)):
        outcome = book.outcomes[m]
        account.below_minimum += outcome == BELOW_MINIMUM
        account.without_volatility += outcome == WITHOUT_VOLATILITY
        account.crowded_out += outcome == CROWDED_OUT
        if outcome == TAKEN:
            if slots[i, m].ask > 0:
                enter(run, m, i)
            else:
                account.cancelled += 1


@step
def enter(run: Run, m: int, i: int) -> None:
    """Fill an entry at T_i's quote and place its stop, which fills at once if that quote already lies beyond it."""
    account, position, slot = run.book.account[0], run.book.positions[m], run.market.slots[i, m]
    contract = run.market.contracts[m]
    side = run.book.intents[m]
    ticks = slot.ask if side > 0 else slot.bid
    position.side = side
    position.lots = run.book.lots[m]
    position.value = position.lots * contract.quanta_per_tick_lot
    position.entry_ticks = ticks
    position.entry_slot = i
    position.stop = stop_ticks(ticks, side, run.stop_atr, run.market.slots[i - 1, m].atr, contract.tick)
    position.leaving = 0
    position.funding = 0
    position.fees = fee_quanta(ticks * position.value, run.costs.fee)
    account.cash -= position.fees
    account.fees += position.fees
    account.turnover += float(ticks * position.value)
    account.open_positions += 1
    record_fill(run.book, Filled(i, m, side, position.lots, ticks, position.fees, ENTRY, 0))
    stop_at_open(run, m, i)


@step
def leave(run: Run, m: int, i: int, ticks: int, reason: int) -> None:
    """Fill an exit in slot i and book its round trip; stops and max-holding exits start the cooldown."""
    account, position = run.book.account[0], run.book.positions[m]
    fee = fee_quanta(ticks * position.value, run.costs.fee)
    profit = position.side * (ticks - position.entry_ticks) * position.value
    net = profit - position.fees - fee + position.funding
    account.cash += profit - fee
    account.fees += fee
    account.turnover += float(ticks * position.value)
    account.open_positions -= 1
    account.round_trips += 1
    account.wins += net > 0
    stopped = reason in (STOP_AT_OPEN, STOP_IN_BAR)
    account.stops += stopped
    if stopped or reason == MAX_HOLDING:
        position.enter_from = i + 1 + run.cooldown_bars
    record_fill(run.book, Filled(i, m, -position.side, position.lots, ticks, fee, reason, net))
    position.side = 0
    position.stop = 0
    position.leaving = 0


@step
def record_fill(book: Book, filled: Filled) -> None:
    """Append a fill to the record, if one is kept."""
    if len(book.fills) == 0:
        return
    account = book.account[0]
    fill = book.fills[account.fills]
    fill.slot = filled.slot
    fill.market = filled.market
    fill.side = filled.side
    fill.lots = filled.lots
    fill.ticks = filled.ticks
    fill.fee = filled.fee
    fill.reason = filled.reason
    fill.net = filled.net
    account.fills += 1


@step
def pay_funding(run: Run, m: int, i: int) -> None:
    """Book the settlement at T_i to cash and to the position carried into T_i.

    At the span's end a mark that would come from the next bar's open is the last close instead.
    """
    book, market = run.book, run.market
    account, position, contract = book.account[0], book.positions[m], market.contracts[m]
    settlement = market.settlements[market.slots[i, m].settlement]
    mark_quanta, source = settlement.mark, settlement.source
    if i == run.span.stop and source != MARK_PRICE:
        mark_quanta, source = market.slots[i - 1, m].close * contract.tick_quanta, LAST_CLOSE
    lots = position.side * position.lots
    amount = payment_quanta(lots * contract.lot_numerator * mark_quanta, contract.lot_denominator, settlement.rate)
    account.cash += amount
    account.funding += amount
    position.funding += amount
    if len(book.payments) > 0:
        payment = book.payments[account.payments]
        payment.slot = i
        payment.market = m
        payment.lots = lots
        payment.rate = settlement.rate
        payment.mark = mark_quanta
        payment.source = source
        payment.amount = amount
        account.payments += 1


@inlined
def watch_bar(run: Run, i: int) -> None:
    """Stops inside bar i, then the worst equity that its extremes allow, with every market against us at once."""
    account, positions, slots = run.book.account[0], run.book.positions, run.market.slots
    account.slots_in_position += 1
    if is_stop_touched(slots, positions, i):
        stop_in_bar(run, i)
    mark_extreme(account, float(account.cash + unrealised_at_worst(slots, positions, i)))


@inlined
def unrealised_at_worst(slots: Records, positions: Records, i: int) -> int:
    """Profit of the open positions at the extremes of bar i that are against them."""
    profit = 0
    for m in range(len(positions)):
        position, slot = positions[m], slots[i, m]
        if position.side != 0:
            extreme = bar_low(slot) if position.side > 0 else bar_high(slot)
            profit += position.side * (extreme - position.entry_ticks) * position.value
    return profit


@inlined
def bar_low(slot: Record) -> int:
    """The lowest price of a bar, the last close where it is missing."""
    return slot.low if slot.ask > 0 else slot.close  # type: ignore[no-any-return]


@inlined
def bar_high(slot: Record) -> int:
    """The highest price of a bar, the last close where it is missing."""
    return slot.high if slot.ask > 0 else slot.close  # type: ignore[no-any-return]


@inlined
def is_stop_touched(slots: Records, positions: Records, i: int) -> bool:
    """Whether bar i trades at a stop."""
    for m in range(len(positions)):
        if is_crossed(slots[i, m].low, slots[i, m].high, positions[m].side, positions[m].stop):
            return True
    return False


@step
def stop_in_bar(run: Run, i: int) -> None:
    """Fill the stops that bar i touches."""
    for m in range(len(run.book.positions)):
        position, slot = run.book.positions[m], run.market.slots[i, m]
        if is_crossed(slot.low, slot.high, position.side, position.stop):
            leave(run, m, i, stop_fill_ticks(position.stop, position.side, run.costs.stop_slippage), STOP_IN_BAR)


@step
def close_out(run: Run) -> None:
    """Settle, stop and close everything at the span's end, against a quote made from the last close."""
    book, costs, i = run.book, run.costs, run.span.stop
    account = book.account[0]
    for m in range(len(book.positions)):
        position = book.positions[m]
        if position.side == 0:
            continue
        if run.market.slots[i, m].settlement >= 0:
            pay_funding(run, m, i)
        close = run.market.slots[i - 1, m].close
        bid, ask = sell_ticks(close, costs.spread), buy_ticks(close, costs.spread)
        reason = STOP_AT_OPEN if is_crossed(bid, ask, position.side, position.stop) else WINDOW_END
        leave(run, m, i, exit_ticks(bid, ask, position.side), reason)
    equity = float(account.cash)
    mark(account, equity)
    if account.next_day_slot == i:
        end_day(run.span, book, equity)
    if len(book.equity) > 0:
        book.equity[i - run.span.start] = account.cash

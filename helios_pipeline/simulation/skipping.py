"""The run of `machine` without the slots in which nothing can happen: bit for bit the same metrics.

A flat market is passed on to the next bar that wants an entry. What becomes of a position does not depend on the
account, so its exit is known when it is entered. From what is due in one market to what is due in another, the account
is passed on from one event (a settlement, a midnight) to the next: the extremes of the stretch between mostly say that
it cannot have fallen deeper than before.

Nothing is recorded here, and of entries that were not made only those below a minimum are counted. The functions that
are not copied into their caller take records, not the run: to pass a tuple of arrays costs more than a bar.
"""

from helios_pipeline.features.compiled import allocation_free, inlined, step
from helios_pipeline.features.windows import Floats, Integers
from helios_pipeline.simulation.arrays import (
    MAX_HOLDING,
    SIGNAL,
    STOP_AT_OPEN,
    STOP_IN_BAR,
    WINDOW_END,
    Book,
    Market,
    Record,
    Records,
    Run,
    Span,
)
from helios_pipeline.simulation.costs import CostUnits, buy_ticks, exit_ticks, fee_quanta, sell_ticks, stop_fill_ticks
from helios_pipeline.simulation.funding import MARK_PRICE, payment_quanta
from helios_pipeline.simulation.machine import is_crossed, mark, mark_extreme, open_account, unrealised_at_worst
from helios_pipeline.simulation.skips import Skips, first_at_least, first_at_most, first_entry
from helios_pipeline.simulation.summary import summarise
from helios_pipeline.strategy.allocation import (
    BELOW_MINIMUM,
    TAKEN,
    AccountState,
    Candidates,
    Limits,
    allocate,
    stop_ticks,
)
from helios_pipeline.strategy.signal import SignalRule

EXACT = float(2**52)
"""Quanta below which doubles tell a difference of half a quantum, so that the deepest fall of a stretch from one peak
gives the drawdown that its falls would give one after the other."""


@allocation_free
def run_sets(  # noqa: C901, PLR0912, PLR0913 - each function between this and its steps is compiled with all of them again
    market: Market,
    skips: Skips,
    span: Span,
    points: Records,
    chosen: Integers,
    costs: CostUnits,
    limits: Limits,
    book: Book,
    rows: Floats,
    blocks: Floats,
) -> None:
    """Run the chosen sets as `run_set` does and write their rows.

    Args:
        market: of their lookback.
        skips: of their lookback and funding weight.
        span: what is evaluated.
        points: `PARAMETERS`.
        chosen: which of them.
        costs: of a fill.
        limits: caps.
        book: is overwritten.
        rows: receives `METRICS`, one row a point.
        blocks: receives what `summarise` says of blocks, one a point.
    """
    account, positions = book.account[0], book.positions
    for k in chosen:
        point = points[k]
        rule = SignalRule(point.funding_weight, point.entry_z, point.exit_z, point.max_holding_bars)
        run = Run(market, span, rule, point.cooldown_bars, point.stop_atr, costs, limits, book)
        open_account(span, book)
        for m in range(len(positions)):
            positions[m].due = 0
        i = span.start
        while i < span.stop:
            first, i = i + 1, next_due(run, skips, i + 1)
            if account.open_positions > 0:
                pass_held(run, skips, first, i)
                settle(run, skips, i)
                leave_at_open(run, i)
            equity = worth(account, positions, skips.closes, i)
            mark(account, float(equity))
            while account.next_day_slot <= i:
                close_day(account, book.daily_returns, span.slots_per_day, float(equity))
            if i < span.stop:
                state, wanted = leave_decided(run, skips, i, equity)
                if wanted and state.open_kept < limits.max_open:
                    rank_entries(run, skips, i, state)
                    for m in range(len(positions)):
                        if book.outcomes[m] == TAKEN and market.slots[i, m].ask > 0 and enter(run, m, i):
                            foresee_exit(run, skips, m, i)
                if account.open_positions > 0:
                    watch_bar(run, i)
        summarise(span, book, rows[k], blocks[k])


@inlined
def next_due(run: Run, skips: Skips, first: int) -> int:
    """The boundary ≥ `first` at which a market is due next, the span's end if none.

    While no place is free, an intent comes to nothing until a position is left, or its exit decided.
    """
    positions, stop = run.book.positions, run.span.stop
    full = run.book.account[0].open_positions >= run.limits.max_open
    due = stop
    for m in range(len(positions)):
        position = positions[m]
        if position.side != 0:
            due = min(due, position.due)
            if full and position.decided >= first:
                due = min(due, position.decided)
    begin = due if full else first
    for m in range(len(positions)):
        position = positions[m]
        if position.side == 0:
            if position.due < begin:
                bar, levels, highs = max(begin, position.enter_from) - 1, skips.levels[m], skips.strength_highs[m]
                position.due = 1 + first_entry(levels, skips.scored[m], highs, bar, stop - 1, run.rule.entry_z)
            due = min(due, position.due)
    return due


@inlined
def pass_held(run: Run, skips: Skips, first: int, stop: int) -> None:
    """Settle and mark the open positions at the boundaries `first ≤ i < stop`, at which none is entered or left."""
    account, positions = run.book.account[0], run.book.positions
    account.slots_in_position += stop - first
    i = first
    while i < stop:
        end = min(stop, skips.starts[skips.stretch_of[i] + 1])
        settle(run, skips, i)
        mark_stretch(run, skips, i, end)
        if account.next_day_slot == i:
            equity = float(worth(account, positions, skips.closes, i))
            close_day(account, run.book.daily_returns, run.span.slots_per_day, equity)
        i = end


@inlined
def settle(run: Run, skips: Skips, i: int) -> None:
    """Pay the funding settled at T_i, at the span's end as `machine.pay_funding` does."""
    market, positions, stretch = run.market, run.book.positions, skips.stretch_of[i]
    if skips.starts[stretch] != i:
        return
    for m in range(len(positions)):
        settlement = skips.stretches[stretch, m].settlement
        if positions[m].side != 0 and settlement >= 0:
            settled, contract = market.settlements[settlement], market.contracts[m]
            mark_quanta = settled.mark
            if i == run.span.stop and settled.source != MARK_PRICE:
                mark_quanta = skips.closes[i - 1, m] * contract.tick_quanta
            pay_funding(run.book.account[0], positions[m], contract, mark_quanta, settled.rate)


@step
def pay_funding(account: Record, position: Record, contract: Record, mark_quanta: int, rate: int) -> None:
    """Book a settlement to cash and to the position that was carried into it."""
    held = position.side * position.lots * contract.lot_numerator
    amount = payment_quanta(held * mark_quanta, contract.lot_denominator, rate)
    account.cash += amount
    account.funding += amount
    position.funding += amount


@inlined
def mark_stretch(run: Run, skips: Skips, first: int, stop: int) -> None:
    """Mark the account at the boundaries `first ≤ i < stop` of one stretch, one by one where its extremes do not do.

    Every peak on the way is at least the last one and at most the best equity. So if even the whole way from best to
    worst is no deeper fall from the last peak, none of them is. Of one position the extremes are those of equity.
    """
    account, positions, stretch = run.book.account[0], run.book.positions, skips.stretch_of[first]
    best = worst = lowest = account.cash
    for m in range(len(positions)):
        position, found = positions[m], skips.stretches[stretch, m]
        if position.side > 0:
            best += (found.mark_high - position.entry_ticks) * position.value
            worst += (found.mark_low - position.entry_ticks) * position.value
            lowest += (found.low - position.entry_ticks) * position.value
        elif position.side < 0:
            best += (position.entry_ticks - found.mark_low) * position.value
            worst += (position.entry_ticks - found.mark_high) * position.value
            lowest += (position.entry_ticks - found.high) * position.value
    whole = skips.starts[stretch] == first and skips.starts[stretch + 1] == stop
    exact = whole and account.open_positions == 1
    peak = account.peak
    high = max(peak, float(best))
    lost, lost_in_bar = high - float(worst), high - float(min(worst, lowest))
    if lost <= account.drawdown * peak and lost_in_bar <= account.drawdown_intrabar * peak:
        if exact:
            account.peak = high
        elif high > peak:
            raise_peak(account, positions, skips.closes, first, stop)
    elif exact and high == peak and peak < EXACT:
        mark(account, float(worst))
        mark_extreme(account, float(lowest))
    else:
        mark_bars(account, positions, skips.closes, run.market.slots, first, stop)


@step
def raise_peak(account: Record, positions: Records, closes: Integers, first: int, stop: int) -> None:
    """Raise the peak to the best equity at the boundaries `first ≤ i < stop`."""
    best = worth(account, positions, closes, first)
    for i in range(first + 1, stop):
        best = max(best, worth(account, positions, closes, i))
    account.peak = max(account.peak, float(best))


@step
def mark_bars(account: Record, positions: Records, closes: Integers, slots: Records, first: int, stop: int) -> None:
    """Mark the account at the boundaries `first ≤ i < stop` and inside their bars, one after the other."""
    for i in range(first, stop):
        mark(account, float(worth(account, positions, closes, i)))
        mark_extreme(account, float(account.cash + unrealised_at_worst(slots, positions, i)))


@inlined
def worth(account: Record, positions: Records, closes: Integers, i: int) -> int:
    """Equity at the last closes before T_i."""
    equity = account.cash
    for m in range(len(positions)):
        position = positions[m]
        if position.side != 0:
            equity += position.side * (closes[i - 1, m] - position.entry_ticks) * position.value
    return equity  # type: ignore[no-any-return]


@inlined
def leave_at_open(run: Run, i: int) -> None:
    """Fill the stops that T_i's open has crossed, at the span's end whatever is left."""
    for m in range(len(run.book.positions)):
        position = run.book.positions[m]
        if position.side != 0 and position.due == i and position.leaving in (STOP_AT_OPEN, WINDOW_END):
            leave(run.book.account[0], position, run.costs.fee, run.cooldown_bars)


@inlined
def leave_decided(run: Run, skips: Skips, i: int, equity: int) -> tuple[AccountState, bool]:
    """Fill the exits that are due at T_i's quote; what the account keeps, and whether an entry is due.

    A position whose exit waits for an open counts as kept.
    """
    account, positions = run.book.account[0], run.book.positions
    gross, kept, wanted = 0, 0, False
    for m in range(len(positions)):
        position = positions[m]
        if position.side == 0:
            wanted |= position.due == i
            continue
        if position.decided != i:
            kept += 1
            gross += skips.closes[i - 1, m] * position.value
        if position.due == i and position.leaving != STOP_IN_BAR:
            leave(account, position, run.costs.fee, run.cooldown_bars)
    return AccountState(equity, gross, kept), wanted


@inlined
def rank_entries(run: Run, skips: Skips, i: int, state: AccountState) -> None:
    """Allocate the entries that are due at T_i, into `lots` and `outcomes`."""
    book, market, slots = run.book, run.market, run.market.slots
    for m in range(len(book.positions)):
        book.intents[m] = 0
        if book.positions[m].side == 0 and book.positions[m].due == i:
            known, level = slots[i - 1, m], skips.levels[m, i - 1]
            book.intents[m], book.strengths[m] = 1 if level < 0.0 else -1, abs(level)
            book.closes[m], book.volatilities[m] = known.close, known.volatility
            book.stop_ranges[m] = known.atr if run.stop_atr > 0.0 else 0.0
    candidates = Candidates(book.intents, book.strengths, book.closes, book.volatilities, book.stop_ranges)
    allocate(candidates, state, run.limits, market.contracts, book.lots, book.outcomes)
    for m in range(len(book.positions)):
        book.account[0].below_minimum += book.outcomes[m] == BELOW_MINIMUM


@inlined
def enter(run: Run, m: int, i: int) -> bool:
    """Fill an entry at T_i's quote; whether it is held, for its stop fills at once if it lies beyond that quote."""
    book, slot, contract, side = run.book, run.market.slots[i, m], run.market.contracts[m], run.book.intents[m]
    account, position = book.account[0], book.positions[m]
    ticks = slot.ask if side > 0 else slot.bid
    position.side, position.lots, position.value = side, book.lots[m], book.lots[m] * contract.quanta_per_tick_lot
    position.entry_ticks, position.entry_slot = ticks, i
    position.stop = stop_ticks(ticks, side, run.stop_atr, run.market.slots[i - 1, m].atr, contract.tick)
    position.fees, position.funding = fee_quanta(ticks * position.value, run.costs.fee), 0
    account.cash -= position.fees
    account.fees += position.fees
    account.turnover += float(ticks * position.value)
    account.open_positions += 1
    held = not is_crossed(slot.bid, slot.ask, side, position.stop)
    if not held:
        position.due, position.leaving, position.exit_ticks = i, STOP_AT_OPEN, exit_ticks(slot.bid, slot.ask, side)
        leave(account, position, run.costs.fee, run.cooldown_bars)
    return held


@inlined
def foresee_exit(run: Run, skips: Skips, m: int, i: int) -> None:
    """Find where a position entered at T_i ends: at the open after its exit is decided, or where it meets its stop."""
    slots, position, rule, costs, end = run.market.slots, run.book.positions[m], run.rule, run.costs, run.span.stop
    side, stop = position.side, position.stop
    last = min(i + rule.max_holding_bars, end) - 1
    if side > 0:
        decided = 1 + first_at_least(skips.levels[m], skips.level_highs[m], i, last, -rule.exit_z)
    else:
        decided = 1 + first_at_most(skips.levels[m], skips.level_lows[m], i, last, rule.exit_z)
    filled = decided
    while filled < end and slots[filled, m].ask == 0:
        filled += 1
    due = filled
    if stop > 0 and side > 0:
        due = first_at_most(skips.downs[m], skips.down_lows[m], i, filled, float(stop))
    elif stop > 0:
        due = first_at_least(skips.ups[m], skips.up_highs[m], i, filled, float(stop))
    bid, ask = slots[due, m].bid, slots[due, m].ask
    leaving = MAX_HOLDING if decided - i >= rule.max_holding_bars else SIGNAL
    if due == end:
        close = skips.closes[due - 1, m]
        bid, ask, leaving = sell_ticks(close, costs.spread), buy_ticks(close, costs.spread), WINDOW_END
    ticks = exit_ticks(bid, ask, side)
    if is_crossed(bid, ask, side, stop):
        leaving = STOP_AT_OPEN
    elif due < filled:
        leaving, ticks = STOP_IN_BAR, stop_fill_ticks(stop, side, costs.stop_slippage)
    position.decided, position.due, position.leaving, position.exit_ticks = decided, due, leaving, ticks


@step
def leave(account: Record, position: Record, fee_units: int, cooldown_bars: int) -> None:
    """Fill the exit that is due and book its round trip; stops and max-holding exits start the cooldown."""
    value, ticks = position.value, position.exit_ticks
    fee = fee_quanta(ticks * value, fee_units)
    profit = position.side * (ticks - position.entry_ticks) * value
    account.cash += profit - fee
    account.fees += fee
    account.turnover += float(ticks * value)
    account.open_positions -= 1
    account.round_trips += 1
    account.wins += profit - position.fees - fee + position.funding > 0
    account.stops += position.leaving in (STOP_AT_OPEN, STOP_IN_BAR)
    if position.leaving != SIGNAL:
        position.enter_from = position.due + 1 + cooldown_bars
    position.side = 0
    position.due = 0


@inlined
def watch_bar(run: Run, i: int) -> None:
    """Fill stops inside bar i, then judge the worst equity that its extremes allow."""
    account, positions = run.book.account[0], run.book.positions
    account.slots_in_position += 1
    for m in range(len(positions)):
        position = positions[m]
        if position.side != 0 and position.due == i:
            leave(account, position, run.costs.fee, run.cooldown_bars)
    mark_extreme(account, float(account.cash + unrealised_at_worst(run.market.slots, positions, i)))


@inlined
def close_day(account: Record, returns: Floats, slots_per_day: int, equity: float) -> None:
    """Note the return of the day that ends, as `machine.end_day` does."""
    if account.days >= 0:
        before = account.day_equity
        returns[account.days] = equity / before - 1.0 if before > 0.0 else 0.0
    account.days += 1
    account.day_equity = equity
    account.next_day_slot += slots_per_day

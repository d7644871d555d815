"""The run of `machine` for one market, without the slots in which nothing can happen: bit for bit the same metrics.

A flat market is passed on to the next bar that wants an entry. A position is passed on to the bar that ends it, from
one event (a settlement, a midnight) to the next: the extremes of the stretch between say at once whether it set a new
peak or fell deeper. Its state stands in local variables, since a call with the whole run as its argument costs more
than a bar.

Nothing is recorded here, and of entries that were not made only those below a minimum are counted.
"""

from helios_pipeline.features.compiled import inlined, step
from helios_pipeline.features.windows import Floats
from helios_pipeline.simulation.arrays import Record, Records, Run
from helios_pipeline.simulation.costs import buy_ticks, exit_ticks, fee_quanta, sell_ticks, stop_fill_ticks
from helios_pipeline.simulation.funding import MARK_PRICE, payment_quanta
from helios_pipeline.simulation.machine import bar_high, bar_low, is_crossed, mark, mark_extreme, open_account
from helios_pipeline.simulation.skips import Skips, first_at_least, first_at_most
from helios_pipeline.strategy.allocation import (
    BELOW_MINIMUM,
    TAKEN,
    AccountState,
    Candidates,
    allocate,
    stop_ticks,
)
from helios_pipeline.strategy.signal import signal

EXACT = float(2**52)
"""Quanta below which doubles tell a difference of half a quantum, so that the deepest fall of a stretch from one peak
gives the drawdown that its falls would give one after the other."""


@step
def run_alone(run: Run, skips: Skips) -> None:  # noqa: C901, PLR0912, PLR0915 - one function, see above
    """Run one set over one market as `run_set` does; `skips` holds the tables of its lookback and funding weight."""
    market, span, rule, costs, book = run.market, run.span, run.rule, run.costs, run.book
    slots, contract, returns = market.slots, market.contracts[0], book.daily_returns
    open_account(span, book)
    account = book.account[0]
    enter_from, i = 0, span.start + 1
    while i < span.stop:
        first, i = i, span.stop
        if enter_from < span.stop:
            begin = max(first, enter_from) - 1
            i = 1 + first_at_least(skips.strengths, skips.strength_highs, begin, span.stop - 1, rule.entry_z)
        equity = float(account.cash)
        mark(account, equity)
        while account.next_day_slot <= min(i, span.stop - 1):
            close_day(account, returns, span.slots_per_day, equity)
        if i == span.stop:
            break
        known, slot = slots[i - 1, 0], slots[i, 0]
        level = signal(market.z_price[i - 1, 0], market.z_funding[i - 1, 0], rule.funding_weight)
        side = 1 if level <= -rule.entry_z else -1
        book.intents[0], book.strengths[0], book.closes[0] = side, abs(level), known.close
        book.volatilities[0], book.stop_ranges[0] = known.volatility, known.atr if run.stop_atr > 0.0 else 0.0
        candidates = Candidates(book.intents, book.strengths, book.closes, book.volatilities, book.stop_ranges)
        state = AccountState(account.cash, 0, 0)
        allocate(candidates, state, run.limits, market.contracts, book.lots, book.outcomes)
        account.below_minimum += book.outcomes[0] == BELOW_MINIMUM
        if book.outcomes[0] != TAKEN or slot.ask == 0:
            i += 1
            continue
        lots, entry = book.lots[0], slot.ask if side > 0 else slot.bid
        value = lots * contract.quanta_per_tick_lot
        stop = stop_ticks(entry, side, run.stop_atr, known.atr, contract.tick)
        paid, received = fee_quanta(entry * value, costs.fee), 0
        account.cash -= paid
        account.fees += paid
        account.turnover += float(entry * value)
        # Where it ends: the boundary that decides it, the next open after it, or the bar that touches the stop.
        ended, decided, filled = i, i, i
        if not is_crossed(slot.bid, slot.ask, side, stop):
            last = min(i + rule.max_holding_bars, span.stop) - 1
            if side > 0:
                decided = 1 + first_at_least(skips.levels, skips.level_highs, i, last, -rule.exit_z)
            else:
                decided = 1 + first_at_most(skips.levels, skips.level_lows, i, last, rule.exit_z)
            filled = decided
            while filled < span.stop and slots[filled, 0].ask == 0:
                filled += 1
            ended = filled
            if stop > 0 and side > 0:
                ended = first_at_most(skips.downs, skips.down_lows, i, filled, stop)
            elif stop > 0:
                ended = first_at_least(skips.ups, skips.up_highs, i, filled, stop)
            if ended > i:
                extreme = bar_low(slot) if side > 0 else bar_high(slot)
                mark_extreme(account, float(account.cash + side * (extreme - entry) * value))
                account.slots_in_position += ended - i
        j = i + 1
        while j < ended:
            settlement = slots[j, 0].settlement
            if settlement >= 0:
                settled = market.settlements[settlement]
                held = side * lots * contract.lot_numerator
                amount = payment_quanta(held * settled.mark, contract.lot_denominator, settled.rate)
                account.cash += amount
                account.funding += amount
                received += amount
            end = min(ended, skips.ends[j])
            mark_low, mark_high, low, high = extremes(skips, slots, j, end)
            best, worst, extreme = (mark_high, mark_low, low) if side > 0 else (mark_low, mark_high, high)
            if float(account.cash + side * (best - entry) * value) > account.peak or account.peak >= EXACT:
                for k in range(j, end):
                    mark(account, float(account.cash + side * (slots[k - 1, 0].close - entry) * value))
                    extreme = bar_low(slots[k, 0]) if side > 0 else bar_high(slots[k, 0])
                    mark_extreme(account, float(account.cash + side * (extreme - entry) * value))
            else:
                mark(account, float(account.cash + side * (worst - entry) * value))
                mark_extreme(account, float(account.cash + side * (extreme - entry) * value))
            if account.next_day_slot == j:
                equity = float(account.cash + side * (slots[j - 1, 0].close - entry) * value)
                close_day(account, returns, span.slots_per_day, equity)
            j = end
        close = slots[ended - 1, 0].close
        if ended > i and slots[ended, 0].settlement >= 0:
            settled = market.settlements[slots[ended, 0].settlement]
            mark_quanta = settled.mark
            if ended == span.stop and settled.source != MARK_PRICE:
                mark_quanta = close * contract.tick_quanta
            held = side * lots * contract.lot_numerator
            amount = payment_quanta(held * mark_quanta, contract.lot_denominator, settled.rate)
            account.cash += amount
            account.funding += amount
            received += amount
        bid, ask = slots[ended, 0].bid, slots[ended, 0].ask
        if ended == span.stop:
            bid, ask = sell_ticks(close, costs.spread), buy_ticks(close, costs.spread)
        at_open = is_crossed(bid, ask, side, stop)
        stopped = at_open or ended < filled
        in_bar = stopped and not at_open
        if ended > i and ended < span.stop and not at_open:
            equity = float(account.cash + side * (close - entry) * value)
            mark(account, equity)
            if account.next_day_slot == ended:
                close_day(account, returns, span.slots_per_day, equity)
        ticks = stop_fill_ticks(stop, side, costs.stop_slippage) if in_bar else exit_ticks(bid, ask, side)
        fee = fee_quanta(ticks * value, costs.fee)
        profit = side * (ticks - entry) * value
        account.cash += profit - fee
        account.fees += fee
        account.turnover += float(ticks * value)
        account.round_trips += 1
        account.wins += profit - paid - fee + received > 0
        account.stops += stopped
        equity = float(account.cash)
        if in_bar:
            account.slots_in_position += 1
            mark_extreme(account, equity)
        elif at_open and ended > i and ended < span.stop:
            mark(account, equity)
            if account.next_day_slot == ended:
                close_day(account, returns, span.slots_per_day, equity)
        if stopped or decided - i >= rule.max_holding_bars:
            enter_from = ended + 1 + run.cooldown_bars
        i = ended + 1
    equity = float(account.cash)
    mark(account, equity)
    if account.next_day_slot == span.stop:
        close_day(account, returns, span.slots_per_day, equity)


@inlined
def close_day(account: Record, returns: Floats, slots_per_day: int, equity: float) -> None:
    """Note the return of the day that ends, as `machine.end_day` does."""
    if account.days >= 0:
        before = account.day_equity
        returns[account.days] = equity / before - 1.0 if before > 0.0 else 0.0
    account.days += 1
    account.day_equity = equity
    account.next_day_slot += slots_per_day


@inlined
def extremes(skips: Skips, slots: Records, first: int, stop: int) -> tuple[int, int, int, int]:
    """Lowest and highest mark, low and high of the boundaries `first ≤ i < stop`, which hold no event but the first."""
    if skips.starts[first] == first:
        found = skips.before[stop - 1]
        return found.mark_low, found.mark_high, found.low, found.high
    if skips.ends[first] == stop:
        found = skips.after[first]
        return found.mark_low, found.mark_high, found.low, found.high
    mark_low = mark_high = slots[first - 1, 0].close
    low, high = bar_low(slots[first, 0]), bar_high(slots[first, 0])
    for i in range(first + 1, stop):
        close = slots[i - 1, 0].close
        mark_low, mark_high = min(mark_low, close), max(mark_high, close)
        low, high = min(low, bar_low(slots[i, 0])), max(high, bar_high(slots[i, 0]))
    return mark_low, mark_high, low, high

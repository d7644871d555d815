"""The metrics of one run, compiled: one row of numbers and the statistics of sixteen blocks of days."""

import math

from helios_pipeline.core.records import QUANTA_PER_UNIT
from helios_pipeline.features.compiled import step
from helios_pipeline.features.windows import Floats, mean_and_std
from helios_pipeline.simulation.arrays import Book, Span

METRICS = (
    "round_trips",
    "wins",
    "win_rate",
    "net_return",
    "sharpe",
    "max_drawdown",
    "max_drawdown_intrabar",
    "fees_quote",
    "funding_quote",
    "turnover_quote",
    "exposure",
    "stops",
    "entries_below_minimum",
    "days",
    "sum_r1",
    "sum_r2",
    "sum_r3",
    "sum_r4",
    "inner_days",
    "inner_sum_r1",
    "inner_sum_r2",
    "inner_tail_days",
    "inner_tail_sum_r1",
    "inner_tail_sum_r2",
)
"""Columns of a row of metrics, in order."""

COUNTS = ("round_trips", "wins", "stops", "entries_below_minimum", "days", "inner_days", "inner_tail_days")
"""The columns that count."""

BLOCKS = 16
SHORTEST_SHARPE_DAYS = 60
DAYS_PER_YEAR = 365.0


@step
def summarise(span: Span, book: Book, row: Floats, blocks: Floats) -> None:
    """Write the metrics of the run in `book`.

    Args:
        span: what was evaluated.
        book: after `run_set`.
        row: receives `METRICS`.
        blocks: shape (16, 3), receives days, Σr and Σr² of each block; day d of n is in block d·16//n.
    """
    account = book.account[0]
    unit = float(QUANTA_PER_UNIT)
    returns = book.daily_returns[: max(account.days, 0)]
    row[0] = account.round_trips
    row[1] = account.wins
    row[2] = account.wins / account.round_trips if account.round_trips > 0 else math.nan
    row[3] = account.cash / span.initial_equity - 1.0
    row[4] = sharpe(returns)
    row[5] = -account.drawdown
    row[6] = -account.drawdown_intrabar
    row[7] = account.fees / unit
    row[8] = account.funding / unit
    row[9] = account.turnover / unit
    row[10] = account.slots_in_position / (span.stop - span.start)
    row[11] = account.stops
    row[12] = account.below_minimum
    row[13] = len(returns)
    row[14:] = 0.0
    blocks[:] = 0.0
    inner = len(returns) * 7 // 10
    row[18] = inner
    row[21] = len(returns) - inner
    sum_days(returns, inner, row, blocks)


@step
def sum_days(returns: Floats, inner: int, row: Floats, blocks: Floats) -> None:
    """Add r, r², r³ and r⁴ of all days, r and r² of the inner ones, of the rest and of each block."""
    block, passed = 0, 0
    for day in range(len(returns)):
        r = returns[day]
        square = r * r
        row[14] += r
        row[15] += square
        row[16] += square * r
        row[17] += square * r * r
        part = 19 if day < inner else 22
        row[part] += r
        row[part + 1] += square
        blocks[block, 0] += 1.0
        blocks[block, 1] += r
        blocks[block, 2] += square
        # The next day's block, day · 16 // n without a division.
        passed += BLOCKS
        while passed >= len(returns):
            passed -= len(returns)
            block += 1


@step
def sharpe(returns: Floats) -> float:
    """Mean over standard deviation (ddof 0) of daily returns × √365; NaN below 60 days or for equal returns."""
    if len(returns) < SHORTEST_SHARPE_DAYS:
        return math.nan
    mean, std = mean_and_std(returns, len(returns) - 1, len(returns))
    return mean / std * math.sqrt(DAYS_PER_YEAR) if std > 0.0 else math.nan

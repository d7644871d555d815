"""The common strategy of `bench_sweep.py` in vectorbt, through its public interface; runs in an environment of its own.

    python run_vectorbt.py FOLDER ENGINE COLUMNS

FOLDER holds `market.npz` (`open` and `close` of every bar, `first`: the first bar that may be traded, `bars_per_day`,
`lot`, `notional`, `fee`, `cash`) and `sets.npy` (lookback, entry z, exit z). ENGINE is numba or rust. COLUMNS sets are
simulated at once. Writes `ENGINE.npz`: four metrics per set, and every order; prints one line of JSON with the
processor seconds of all sets, in a second run that compiles nothing, and the peak memory of the process.

The simulation has a row for each traded bar, filled at its open, and one more that closes what is left at the last
close. A signal is known at a bar's close, so it stands in the row of the bar after it.
"""

import json
import resource
import sys
import time
from pathlib import Path

import numpy as np
import vectorbt as vbt

DAYS_PER_YEAR = 365


def price_scores(logs: np.ndarray, lookback: int, engine: str) -> np.ndarray:
    """Log closes as z-scores of their window."""
    column = logs[:, None]
    mean = vbt.generic.dispatch.rolling_mean(column, lookback, engine=engine)
    deviation = vbt.generic.dispatch.rolling_std(column, lookback, ddof=0, engine=engine)
    return ((column - mean) / deviation)[:, 0]


def run_batch(market: dict, scores: np.ndarray, sets: np.ndarray, engine: str) -> tuple[np.ndarray, np.ndarray]:
    """Metrics and order records of sets that share a lookback.

    Args:
        market: as loaded.
        scores: float64[rows − 1]: known when each row but the first is filled.
        sets: of one lookback.
        engine: numba or rust.
    """
    rows = len(market["price"])
    known = np.full((rows, 1), np.nan)
    known[1:-1, 0] = scores[: rows - 2]
    entry, leave = sets[:, 1], sets[:, 2]
    exits, short_exits = known >= -leave, known <= leave
    exits[-1], short_exits[-1] = True, True
    portfolio = vbt.Portfolio.from_signals(
        market["mark"],
        known <= -entry,
        exits,
        short_entries=known >= entry,
        short_exits=short_exits,
        size=market["size"],
        price=market["price"],
        fees=float(market["fee"]),
        init_cash=float(market["cash"]),
        upon_opposite_entry="close",
        use_stops=False,
        engine=engine,
    )
    trades, value = portfolio.trades, portfolio.value().to_numpy()
    ends = value[market["day_ends"]]
    daily = np.diff(ends, axis=0) / ends[:-1]
    with np.errstate(invalid="ignore", divide="ignore"):
        sharpe = daily.mean(axis=0) / daily.std(axis=0) * np.sqrt(DAYS_PER_YEAR)
    metrics = np.column_stack([trades.count(), trades.win_rate(), portfolio.max_drawdown(), sharpe])
    return metrics, portfolio.order_records


def prepare(folder: Path) -> dict:
    """The market with a row per traded bar and the closing one."""
    market = dict(np.load(folder / "market.npz"))
    first, close = int(market["first"]), market["close"]
    decided_at = close[first:-1]
    lots = np.floor(market["notional"] / (decided_at * market["lot"]))
    market["logs"] = np.log(close)
    market["logs"] -= market["logs"].mean()
    market["price"] = np.append(market["open"][first:], close[-1])[:, None]
    market["mark"] = np.append(close[first:], close[-1])[:, None]
    market["size"] = np.concatenate([[0.0], lots * market["lot"], [0.0]])[:, None]
    # Equity at a midnight is that of the bar that ends there; the first one is the start.
    days = (len(market["price"]) - 1) // int(market["bars_per_day"])
    market["day_ends"] = np.append(0, np.arange(1, days + 1) * int(market["bars_per_day"]) - 1)
    market["day_ends"][-1] += 1
    return market


def main() -> None:
    folder, engine, columns = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    market, sets = prepare(folder), np.load(folder / "sets.npy")
    first = int(market["first"])

    def run(chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        metrics, orders = np.empty((len(sets), 4)), []
        for lookback in np.unique(sets[chosen, 0]):
            scores = price_scores(market["logs"], int(lookback), engine)[first:]
            own = chosen[sets[chosen, 0] == lookback]
            for begin in range(0, len(own), columns):
                batch = own[begin : begin + columns]
                metrics[batch], records = run_batch(market, scores, sets[batch], engine)
                records = records.copy()
                records["col"] = batch[records["col"]]
                orders.append(records)
        return metrics, np.concatenate(orders)

    run(np.arange(len(sets)))  # compiles, or loads what was compiled, for every shape that occurs
    began = time.process_time()
    metrics, orders = run(np.arange(len(sets)))
    seconds = time.process_time() - began
    np.savez(folder / f"{engine}.npz", metrics=metrics, orders=orders)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"version": vbt.__version__, "seconds": seconds, "peak_bytes": peak}))


if __name__ == "__main__":
    main()

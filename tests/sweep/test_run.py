import json
import random
import signal
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from datetime import timedelta
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import psutil
import pytest

from helios_pipeline.core.errors import SettingsError, SimulationError
from helios_pipeline.core.records import Window
from helios_pipeline.core.selection import Constraints
from helios_pipeline.simulation.kernel import simulate
from helios_pipeline.sweep.grid import Grid, parameters_of
from helios_pipeline.sweep.narrowing import NextGrid, NoNextGrid, propose_next_grid
from helios_pipeline.sweep.points import chunk_rows, records_of
from helios_pipeline.sweep.proscore import inner_retention
from helios_pipeline.sweep.rounds import judge_round
from helios_pipeline.sweep.run import Workers, end_with_parent, iter_chunks, run_sweep
from tests.generated_market import BTC, ETH, FIRST, make_bars, make_inputs

GRID = Grid(
    lookback_bars=(12, 24, 48),
    funding_weight=(0.0, 0.5),
    entry_z=(1.0, 2.0),
    exit_z=(0.0, 1.0),
    max_holding_bars=(48,),
    cooldown_bars=(0, 4),
    stop_atr=(0.0, 3.0),
)


@pytest.fixture(scope="module")
def inputs():
    return make_inputs({BTC: make_bars(seed=1, days=75), ETH: make_bars(seed=2, days=75)}, warm_up_days=5, days=75)


def processes(workers):
    return ProcessPoolExecutor(workers, mp_context=get_context("forkserver"), initializer=end_with_parent)


def sweep_on(inputs, sets, executor=None, chunk_size=7, progress=lambda done, total: None):
    workers = Workers(executor=executor, chunk_size=chunk_size, progress=progress)
    return run_sweep(inputs, sets, start=inputs.first_slot, stop=len(inputs.opened_at), workers=workers)


@pytest.fixture(scope="module")
def here(inputs):
    return sweep_on(inputs, GRID)


def same_bits(left, right):
    return (
        left.metrics.columns == right.metrics.columns
        and left.metrics.to_numpy().tobytes() == right.metrics.to_numpy().tobytes()
        and left.blocks.tobytes() == right.blocks.tobytes()
    )


def test_results_are_bit_identical_whatever_computes_them_and_in_what_portions(inputs, here):
    with processes(1) as one, ThreadPoolExecutor(2) as two:
        assert same_bits(here, sweep_on(inputs, GRID, executor=one, chunk_size=5))
        assert same_bits(here, sweep_on(inputs, GRID, executor=two, chunk_size=3))
        assert same_bits(here, sweep_on(inputs, GRID, executor=two, chunk_size=1000))


def test_an_executor_that_holds_no_inputs_or_others_gets_them(inputs, here):
    others = make_inputs({BTC: make_bars(seed=3, days=70)}, warm_up_days=5, days=70)

    with processes(1) as pool:
        sweep_on(others, GRID.records()[:8], executor=pool)
        assert same_bits(here, sweep_on(inputs, GRID, executor=pool))


def test_rows_come_in_the_order_of_the_sets_given(inputs, here):
    points = GRID.points()
    random.Random(1).shuffle(points)

    shuffled = sweep_on(inputs, records_of(points))

    assert [parameters_of(row) for row in shuffled.metrics.iter_rows(named=True)] == points
    at = [GRID.points().index(point) for point in points]
    assert shuffled.metrics.equals(here.metrics[at])
    assert np.array_equal(shuffled.blocks, here.blocks[at])


def test_the_market_has_enough_trades_for_these_tests_to_mean_something(here):
    assert here.metrics["round_trips"].min() > 20
    assert here.metrics["sharpe"].n_unique() > GRID.size / 2


def test_progress_is_told_after_each_chunk_and_ends_with_all_sets(inputs):
    told = []

    with ThreadPoolExecutor(2) as pool:
        sweep_on(inputs, GRID, executor=pool, chunk_size=10, progress=lambda *at: told.append(at))

    assert len(told) == -(-GRID.size // 10)
    assert [done for done, _ in told] == sorted({done for done, _ in told})
    assert told[-1] == (GRID.size, GRID.size)


def test_retention_on_the_inner_split_agrees_with_the_daily_returns(inputs, here):
    retention = inner_retention(here.metrics)

    for index in (0, GRID.size // 2, GRID.size - 1):
        r = simulate(inputs, GRID.points()[index], start=inputs.first_slot, stop=len(inputs.opened_at)).daily_returns
        first, last = r[: int(len(r) * 0.7)], r[int(len(r) * 0.7) :]
        assert retention[index] == pytest.approx((last.mean() / last.std()) / (first.mean() / first.std()), rel=1e-9)


def test_blocks_hold_each_day_once(here):
    assert (here.blocks[:, :, 0].sum(axis=1) == here.metrics["days"].to_numpy()).all()
    assert here.blocks[:, :, 1].sum(axis=1) == pytest.approx(here.metrics["sum_r1"].to_numpy())
    assert here.blocks[:, :, 2].sum(axis=1) == pytest.approx(here.metrics["sum_r2"].to_numpy())


def test_a_measured_round_is_judged_counted_and_narrowed(inputs, here):
    window = Window(first=FIRST + timedelta(days=5), last=FIRST + timedelta(days=75))
    constraints = Constraints(min_round_trips=20, max_drawdown_fraction=0.2, min_sharpe=1.5, min_win_rate=0.3)

    result = judge_round("round-1", here, grid=GRID, window=window, constraints=constraints)
    proposal = propose_next_grid(result, purge_bars=max(GRID.max_holding_bars))

    assert result.candidate is not None
    assert result.metrics["proscore2"].max() == result.metrics["proscore2"][result.best] > 0
    assert len({point.canonical for point in GRID.points()}) == GRID.size
    assert json.loads(json.dumps(result.summary(), allow_nan=False)) == result.summary()
    assert isinstance(proposal, NextGrid | NoNextGrid)


def test_a_killed_worker_is_an_error_that_says_what_to_do(inputs):
    with processes(1) as pool:
        pool.submit(signal.raise_signal, signal.SIGKILL)

        with pytest.raises(SimulationError, match=r"expected every worker to answer.*run it again"):
            sweep_on(inputs, GRID, executor=pool)


@pytest.mark.parametrize("threads", [0, 2])
def test_chunks_are_handed_over_one_by_one_without_those_to_skip(inputs, here, threads):
    told, records = [], GRID.records()
    with ThreadPoolExecutor(2) as pool:
        workers = Workers(executor=pool if threads else None, chunk_size=7, progress=lambda *at: told.append(at))
        span = {"start": inputs.first_slot, "stop": len(inputs.opened_at)}

        parts = dict(iter_chunks(inputs, records, **span, workers=workers, skip={0, 3}))

    rows = chunk_rows(records, 7)
    assert sorted(parts) == [number for number in range(len(rows)) if number not in {0, 3}]
    assert all(part.metrics.equals(here.metrics[rows[number]][:, 7:]) for number, part in parts.items())
    assert told[0][0] == 14 + len(rows[next(iter(parts))])
    assert told[-1] == (GRID.size, GRID.size)


def test_nothing_to_evaluate_is_refused(inputs):
    with pytest.raises(SettingsError, match="expected one or more parameter sets"):
        sweep_on(inputs, records_of([]))
    with pytest.raises(SettingsError, match="chunk_size: expected at least 1 set, found 0"):
        sweep_on(inputs, GRID, chunk_size=0)


PARENT = """
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from helios_pipeline.sweep.run import end_with_parent

with ProcessPoolExecutor(2, mp_context=get_context("forkserver"), initializer=end_with_parent) as pool:
    pool.submit(abs, 1).result()
    pool.submit(abs, 1).result()
    print("started", flush=True)
    sys.stdin.read()
"""


def test_workers_end_when_their_parent_is_killed():
    checkout = Path(__file__).parents[2]

    with subprocess.Popen(
        [sys.executable, "-c", PARENT], cwd=checkout, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout.readline() == "started\n"
        started = psutil.Process(parent.pid).children(recursive=True)
        parent.kill()

    _, alive = psutil.wait_procs(started, timeout=30)
    assert len(started) >= 2
    assert alive == []

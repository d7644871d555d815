import json
import math
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import numpy as np
import polars as pl
import pytest

from helios_pipeline.core.errors import SettingsError
from helios_pipeline.core.selection import Constraints
from helios_pipeline.simulation.kernel import simulate
from helios_pipeline.strategy.parameters import ParameterSet
from helios_pipeline.sweep.grid import Grid
from helios_pipeline.sweep.pools import open_threads
from helios_pipeline.sweep.run import Workers
from helios_pipeline.sweep.search import Search
from helios_pipeline.walk_forward.folds import FoldLengths
from helios_pipeline.walk_forward.result import in_sample_window
from helios_pipeline.walk_forward.run import plan_folds, run_walk_forward
from tests.generated_market import BARS_PER_DAY, BTC, FIRST, make_bars, make_inputs

DAYS, WARM_UP = 150, 5
GRID = Grid(
    lookback_bars=(12, 24, 48),
    funding_weight=(0.0,),
    entry_z=(1.0, 1.5, 2.0),
    exit_z=(0.0, 0.5),
    max_holding_bars=(24, 48),
    cooldown_bars=(0,),
    stop_atr=(0.0, 3.0),
)
WHOLE_GRID = Search(sampler="grid", sets=GRID.size, seed=0)
LENGTHS = FoldLengths(scheme="rolling", in_sample_days=60, purge_bars=48, embargo_bars=0, out_of_sample_days=25)
CONSTRAINTS = Constraints(min_round_trips=20, max_drawdown_fraction=0.2, min_sharpe=1.5, min_win_rate=0.3)


@pytest.fixture(scope="module")
def bars():
    return make_bars(seed=5, days=DAYS)


def inputs_of(bars):
    return make_inputs({BTC: bars}, warm_up_days=WARM_UP, days=DAYS)


@pytest.fixture(scope="module")
def inputs(bars):
    return inputs_of(bars)


def walk(
    inputs,
    constraints=CONSTRAINTS,
    executor=None,
    progress=lambda done, total: None,
    lengths=LENGTHS,
    search=WHOLE_GRID,
    keep=lambda fold, sweep: None,
):
    return run_walk_forward(
        inputs,
        GRID,
        search,
        folds=folds_of(inputs, lengths),
        constraints=constraints,
        workers=Workers(executor=executor, chunk_size=11, progress=progress),
        keep=keep,
    )


def folds_of(inputs, lengths=LENGTHS):
    return plan_folds(inputs, GRID, lengths, start=inputs.first_slot, stop=len(inputs.opened_at))


@pytest.fixture(scope="module")
def result(inputs):
    return walk(inputs)


def test_three_folds_are_chosen_and_judged(result):
    first = FIRST + timedelta(days=WARM_UP)

    assert result.summary.folds == result.folds.height == 3
    assert result.folds["in_sample_first"].to_list() == [first + timedelta(days=25) * k for k in range(3)]
    assert result.folds["out_of_sample_first"].to_list() == [first + timedelta(days=61 + 25 * k) for k in range(3)]
    assert result.folds["parameters"].null_count() == 0
    assert all(last == following for last, following in pairwise_bounds(result.folds))


def pairwise_bounds(folds):
    starts, stops = folds["out_of_sample_first"].to_list(), folds["out_of_sample_last"].to_list()
    return [(stops[k], starts[k + 1]) for k in range(len(starts) - 1)]


def test_the_summary_agrees_with_each_choice_simulated_on_its_own(inputs, result):
    runs = [
        simulate(
            inputs,
            ParameterSet.from_mapping(json.loads(text)),
            start=fold.out_of_sample_start,
            stop=fold.out_of_sample_stop,
        )
        for fold, text in zip(folds_of(inputs), result.folds["parameters"], strict=True)
    ]

    returns = np.concatenate([run.daily_returns for run in runs])
    expected = returns.mean() / returns.std() * math.sqrt(365)
    assert result.summary.out_of_sample_sharpe == pytest.approx(expected, rel=1e-12)
    assert result.summary.round_trips == sum(len(run.round_trips) for run in runs)
    assert result.summary.in_sample_sharpe == pytest.approx(result.folds["in_sample_sharpe"].mean())
    assert result.summary.retention == pytest.approx(expected / result.folds["in_sample_sharpe"].mean())
    # Each fold starts with the initial equity, so growth multiplies what each of them ended with.
    ends = [run.final_cash_quanta / inputs.initial_equity_quanta for run in runs]
    assert result.equity["growth"][-1] == pytest.approx(math.prod(ends), rel=1e-9)
    assert result.summary.positive_fraction == np.mean([end > 1 for end in ends])
    assert result.folds["out_of_sample_net_return"].to_list() == pytest.approx([end - 1 for end in ends], rel=1e-9)


def test_the_stitched_days_follow_each_other_without_a_hole(result):
    days = result.equity["day"].to_list()

    assert len(days) == 75
    assert all(after - before == timedelta(days=1) for before, after in pairwise(days))


def test_a_choice_passed_in_sample_and_no_passing_set_scored_higher(result):
    assert (result.folds["in_sample_sharpe"] >= CONSTRAINTS.min_sharpe).all()
    assert (result.folds["in_sample_passed"] > 1).all()


def test_what_was_kept_is_the_ratio_of_days_after_to_days_before(inputs, result):
    folds = result.folds
    before = [
        simulate(
            inputs,
            ParameterSet.from_mapping(json.loads(text)),
            start=fold.in_sample_start,
            stop=fold.in_sample_stop,
        ).daily_returns.mean()
        for fold, text in zip(folds_of(inputs), folds["parameters"], strict=True)
    ]
    after = result.equity.group_by("fold", maintain_order=True).agg(pl.col("daily_return").mean())["daily_return"]

    assert folds["efficiency"].to_list() == pytest.approx((after / pl.Series(before)).to_list(), rel=1e-9)
    assert result.efficiency == pytest.approx(result.equity["daily_return"].mean() / np.mean(before), rel=1e-9)
    # 25 days give no Sharpe ratio, so there is none to compare with.
    assert folds["retention"].is_nan().all()


def test_anchored_folds_choose_on_every_bar_so_far(inputs, result):
    anchored = walk(inputs, lengths=replace(LENGTHS, scheme="anchored"))

    assert anchored.folds["in_sample_first"].n_unique() == 1
    assert anchored.folds["out_of_sample_first"].equals(result.folds["out_of_sample_first"])
    assert anchored.folds[0].equals(result.folds[0])
    assert anchored.folds["in_sample_sharpe"][1:].to_list() != result.folds["in_sample_sharpe"][1:].to_list()


def test_stability_lists_what_each_fold_chose_of_every_parameter_on_offer(result):
    chosen = [json.loads(text) for text in result.folds["parameters"]]

    names = [name for name, values in GRID.as_values().items() if len(values) > 1]
    assert result.stability["parameter"].to_list() == names
    assert result.stability["chosen"].to_list() == [len({point[name] for point in chosen}) for name in names]


@pytest.mark.parametrize("sampler", ["sobol", "optuna"])
def test_a_sampled_round_searches_anew_in_every_fold(inputs, sampler):
    told, tried = [], []
    search = Search(sampler=sampler, sets=40, seed=3)

    sampled = walk(
        inputs,
        search=search,
        progress=lambda *at: told.append(at),
        keep=lambda fold, sweep: tried.append((in_sample_window(inputs, fold).first, sweep.metrics.height)),
    )

    assert sampled.folds["parameters"].null_count() == 0
    assert told[-1] == (3 * 40, 3 * 40)
    assert sum(sets for _, sets in tried) == 3 * 40
    assert sorted({first for first, _ in tried}) == sampled.folds["in_sample_first"].to_list()
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    chosen = [json.loads(text)["entry_z"] for text in sampled.folds["parameters"]]
    assert all(1.0 <= value <= 2.0 for value in chosen)
    assert not set(chosen) <= set(GRID.entry_z)


def shaken(bars, first_slot):
    """The same bars up to a slot; from it on, a random other market at other prices."""
    other = make_bars(seed=99, days=DAYS)
    prices = ["open", "high", "low", "close"]
    late = pl.int_range(pl.len()) >= first_slot
    return bars.with_columns(pl.when(late).then(other[name]).otherwise(pl.col(name)).alias(name) for name in prices)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_no_bar_after_the_in_sample_part_changes_a_choice(bars, inputs, result, number):
    fold = folds_of(inputs)[number - 1]

    changed = walk(inputs_of(shaken(bars, fold.in_sample_stop)))

    chosen = ["parameters", "in_sample_passed", "in_sample_proscore2", "in_sample_sharpe"]
    assert changed.folds[:number].select(chosen).equals(result.folds[:number].select(chosen))
    assert changed.folds["out_of_sample_net_return"][number - 1] != result.folds["out_of_sample_net_return"][number - 1]


def test_bars_of_the_in_sample_part_do_change_a_choice(bars, inputs, result):
    changed = walk(inputs_of(shaken(bars, folds_of(inputs)[0].in_sample_stop - 30 * BARS_PER_DAY)))

    assert changed.folds["in_sample_sharpe"][0] != result.folds["in_sample_sharpe"][0]


def test_a_fold_in_which_nothing_passes_trades_nothing_and_says_so(inputs):
    result = walk(inputs, constraints=replace(CONSTRAINTS, min_sharpe=1000.0))

    assert result.folds["parameters"].to_list() == [None] * 3
    assert result.folds["in_sample_passed"].to_list() == [0] * 3
    assert result.equity["growth"].to_list() == [1.0] * 75
    assert (result.summary.round_trips, result.summary.positive_fraction) == (0, 0.0)
    assert math.isnan(result.summary.out_of_sample_sharpe)
    assert math.isnan(result.summary.retention)


@pytest.mark.parametrize("min_sharpe", [1.5, 1000.0])
def test_a_report_survives_json_without_nan(inputs, min_sharpe):
    report = walk(inputs, constraints=replace(CONSTRAINTS, min_sharpe=min_sharpe)).report()

    assert json.loads(json.dumps(report, allow_nan=False)) == report
    assert len(report["folds"]) == 3
    assert len(report["equity"]["day"]) == len(report["equity"]["growth"]) == 75


def test_two_workers_choose_and_earn_the_same(inputs, result):
    with open_threads(2) as pool:
        parallel = walk(inputs, executor=pool)

    assert parallel.folds.equals(result.folds)
    assert parallel.equity.equals(result.equity)


def test_progress_counts_the_sets_of_all_folds(inputs):
    told = []

    walk(inputs, progress=lambda *at: told.append(at))

    assert [done for done, _ in told] == sorted({done for done, _ in told})
    assert told[-1] == (3 * GRID.size, 3 * GRID.size)


def test_folds_begin_at_the_first_midnight(inputs):
    folds = plan_folds(inputs, GRID, LENGTHS, start=inputs.first_slot + 1, stop=len(inputs.opened_at))

    assert folds[0].in_sample_start == inputs.first_slot + BARS_PER_DAY


def test_too_short_a_purge_is_refused(inputs):
    lengths = replace(LENGTHS, purge_bars=47)

    with pytest.raises(SettingsError, match=r"longest max_holding_bars \(48\)"):
        plan_folds(inputs, GRID, lengths, start=inputs.first_slot, stop=len(inputs.opened_at))

import math
from dataclasses import replace
from decimal import Decimal

import empyrical
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from helios_pipeline.core.errors import SimulationError
from helios_pipeline.simulation.arrays import records_of
from helios_pipeline.simulation.kernel import Evaluator, evaluate, simulate
from helios_pipeline.strategy.parameters import ParameterSet

THREE = ("BTCUSDT", "ETHUSDT", "SOLUSDT")
FEW = settings(max_examples=40, deadline=None)
UNIT = 10**8
BAR_NS = 900 * 10**9


def point(**changed):
    values = {
        "lookback_bars": 12,
        "funding_weight": 0.3,
        "entry_z": 1.2,
        "exit_z": 0.0,
        "max_holding_bars": 20,
        "cooldown_bars": 2,
        "stop_atr": 2.0,
    }
    return ParameterSet(**(values | changed))


POINTS = st.builds(
    point,
    lookback_bars=st.integers(2, 40),
    funding_weight=st.sampled_from([0.0, 0.3, 1.0]),
    entry_z=st.floats(0.5, 2.5),
    exit_z=st.floats(-0.4, 0.4),
    max_holding_bars=st.integers(1, 60),
    cooldown_bars=st.integers(0, 8),
    stop_atr=st.sampled_from([0.0, 0.05, 1.0, 4.0]),
)
SHAPES = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 10**6),
        "symbols": st.sampled_from([THREE[:1], THREE[:2], THREE]),
        "count": st.integers(150, 450),
        "missing": st.sampled_from([0.0, 0.03]),
        "long_gaps": st.integers(0, 3),
        "max_open": st.integers(1, 3),
        "mark_prices": st.booleans(),
    }
)


def whole(inputs):
    return {"start": 0, "stop": len(inputs.opened_at)}


@FEW
@given(SHAPES, POINTS)
def test_profit_is_fills_minus_fees_plus_funding(inputs_of, shape, parameters):
    inputs = inputs_of(**shape)
    quanta = {one.instrument_id: one.quanta_per_tick_lot for one in inputs.instruments}

    run = simulate(inputs, parameters, **whole(inputs))

    traded = sum(
        -row["side"] * row["lots"] * row["price_ticks"] * quanta[row["instrument_id"]]
        for row in run.fills.iter_rows(named=True)
    )
    fees, funding = run.fills["fee_quanta"].sum(), run.payments["amount_quanta"].sum()
    profit = run.final_cash_quanta - inputs.initial_equity_quanta
    assert profit == traded - fees + funding
    assert profit == run.round_trips["net_quanta"].sum()
    assert funding == run.round_trips["funding_quanta"].sum()
    assert run.metrics["fees_quote"] == pytest.approx(fees / UNIT)
    assert run.metrics["funding_quote"] == pytest.approx(funding / UNIT)
    assert run.metrics["wins"] == (run.round_trips["net_quanta"] > 0).sum()


@FEW
@given(SHAPES, POINTS)
def test_equity_equals_a_recomputation_from_fills_in_decimal(inputs_of, shape, parameters):
    inputs = inputs_of(**shape)

    run = simulate(inputs, parameters, **whole(inputs))

    closes = {one.instrument_id: m for m, one in enumerate(inputs.instruments)}
    sizes = {one.instrument_id: (one.tick, one.lot) for one in inputs.instruments}
    cash, held = Decimal(inputs.initial_equity_quanta) / UNIT, dict.fromkeys(closes, 0)
    fills, payments = run.fills.rows(named=True), run.payments.rows(named=True)
    opened = inputs.opened_at.tolist()
    for slot, row in enumerate(run.equity.iter_rows(named=True)):
        boundary = (opened[0] + slot * 900_000) * 10**6
        # Marked after this boundary's funding and its stops at the open, before what it decides; all of it at the end.
        last = slot == len(opened)
        while payments and payments[0]["settled_at_ns"] <= boundary:
            cash += Decimal(payments.pop(0)["amount_quanta"]) / UNIT
        done = [
            fill
            for fill in fills
            if fill["filled_at_ns"] < boundary
            or (fill["filled_at_ns"] == boundary and (last or is_crossing(fill, fills, boundary)))
        ]
        for fill in done:
            fills.remove(fill)
            tick, lot = sizes[fill["instrument_id"]]
            cash -= fill["side"] * fill["lots"] * lot * fill["price_ticks"] * tick + Decimal(fill["fee_quanta"]) / UNIT
            held[fill["instrument_id"]] += fill["side"] * fill["lots"]
        value = sum(
            lots * sizes[name][1] * int(inputs.slots["close"][max(slot - 1, 0), closes[name]]) * sizes[name][0]
            for name, lots in held.items()
        )
        assert row["equity_quote"] == float(cash + value), slot


def is_crossing(fill, fills, boundary):
    """A stop at the open of a position carried into the boundary; one that is entered there is not yet in the mark."""
    entered_here = any(
        other["reason"] == "entry"
        and (other["instrument_id"], other["filled_at_ns"]) == (fill["instrument_id"], boundary)
        for other in fills
    )
    return fill["reason"] == "stop_at_open" and not entered_here


@FEW
@given(SHAPES, POINTS)
def test_drawdowns_equal_a_recomputation_bar_by_bar(inputs_of, shape, parameters):
    inputs = inputs_of(**shape)
    names = [one.instrument_id for one in inputs.instruments]
    sizes = [one.quanta_per_tick_lot for one in inputs.instruments]

    run = simulate(inputs, parameters, **whole(inputs))

    first, marks = int(inputs.opened_at[0]) * 10**6, run.equity["equity_quote"].to_list()
    fills = [
        (row, (row["filled_at_ns"] - first) // BAR_NS, names.index(row["instrument_id"]))
        for row in run.fills.rows(named=True)
    ]
    paid = [((row["settled_at_ns"] - first) // BAR_NS, row["amount_quanta"]) for row in run.payments.rows(named=True)]
    peak, worst, worst_intrabar = marks[0], 0.0, 0.0
    for slot in range(len(inputs.opened_at)):
        peak = max(peak, marks[slot])
        cash = inputs.initial_equity_quanta + sum(amount for at, amount in paid if at <= slot)
        held = [0] * len(names)
        for row, at, m in fills:
            if at <= slot:
                cash -= row["side"] * row["lots"] * row["price_ticks"] * sizes[m] + row["fee_quanta"]
                held[m] += row["side"] * row["lots"]
        bars = inputs.slots[slot]
        extremes = [
            int(bars["close"][m] if bars["ask"][m] == 0 else bars["low"][m] if lots > 0 else bars["high"][m])
            for m, lots in enumerate(held)
        ]
        low = cash + sum(lots * price * size for lots, price, size in zip(held, extremes, sizes, strict=True))
        worst = min(worst, marks[slot] / peak - 1)
        worst_intrabar = min(worst_intrabar, worst, low / UNIT / peak - 1)
    worst = min(worst, marks[-1] / max(peak, marks[-1]) - 1)
    assert run.metrics["max_drawdown"] == pytest.approx(worst, abs=1e-12)
    assert run.metrics["max_drawdown_intrabar"] == pytest.approx(min(worst, worst_intrabar), abs=1e-12)


@FEW
@given(SHAPES, POINTS)
def test_metrics_of_many_sets_are_those_of_each_alone(inputs_of, shape, parameters):
    inputs = inputs_of(**shape)
    sets = [parameters, replace(parameters, lookback_bars=parameters.lookback_bars + 1), parameters]

    evaluation = evaluate(inputs, records_of(sets), **whole(inputs))

    for row, one in zip(evaluation.metrics.iter_rows(named=True), sets, strict=True):
        alone = simulate(inputs, one, **whole(inputs)).metrics
        assert row == pytest.approx(dict(alone), abs=0, rel=0, nan_ok=True)


@FEW
@given(SHAPES, POINTS, POINTS)
def test_an_evaluator_remembers_nothing_of_the_sets_before(inputs_of, shape, before, parameters):
    inputs = inputs_of(**shape)
    evaluator = Evaluator(inputs, **whole(inputs))

    evaluator.evaluate(records_of([before, replace(before, funding_weight=before.funding_weight + 1)]))
    found = evaluator.evaluate(records_of([parameters]))

    fresh = evaluate(inputs, records_of([parameters]), **whole(inputs))
    assert (found.rows.tobytes(), found.blocks.tobytes()) == (fresh.rows.tobytes(), fresh.blocks.tobytes())


@FEW
@given(SHAPES, POINTS, st.integers(0, 60), st.integers(100, 149))
def test_bars_after_the_end_change_nothing(inputs_of, shape, parameters, start, stop):
    inputs = inputs_of(**shape)
    slots, opened_at = inputs.slots.copy(), inputs.opened_at[:stop]
    slots[stop:]["settlement"] = np.where(np.arange(stop, len(slots))[:, None] == stop, slots[stop:]["settlement"], -1)
    for name in ("bid", "ask", "low", "high", "close"):
        slots[stop:][name] = 0
    cut = replace(inputs, slots=slots[: stop + 1], z_funding=inputs.z_funding[: stop + 1], opened_at=opened_at)

    part = simulate(inputs, parameters, start=start, stop=stop)
    alone = simulate(cut, parameters, start=start, stop=stop)

    assert_frame_equal(part.fills, alone.fills)
    assert_frame_equal(part.payments, alone.payments)
    assert part.final_cash_quanta == alone.final_cash_quanta


@FEW
@given(SHAPES, POINTS)
def test_no_position_ever_passes_a_cap(inputs_of, shape, parameters):
    inputs = inputs_of(**shape)

    run = simulate(inputs, parameters, **whole(inputs))

    ends = pl.concat([run.round_trips["entered_at_ns"], run.round_trips["left_at_ns"]]).unique()
    for at in ends:
        # A position that is leaving frees its place for one that enters at the same open.
        inside = run.round_trips.filter((pl.col("entered_at_ns") <= at) & (pl.col("left_at_ns") > at))
        waiting = run.counts["left_after_a_missing_bar"]
        assert len(inside) <= shape["max_open"] + waiting


def test_drawdown_and_sharpe_equal_those_of_empyrical(inputs_of):
    inputs = inputs_of(seed=5, symbols=THREE, count=96 * 90, jump=0.0005)

    run = simulate(inputs, point(stop_atr=4.0, entry_z=2.0), **whole(inputs))

    equity = run.equity["equity_quote"].to_pandas()
    assert run.metrics["days"] == 90
    assert run.metrics["max_drawdown"] == pytest.approx(empyrical.max_drawdown(equity.pct_change().fillna(0)), rel=1e-9)
    assert run.metrics["max_drawdown_intrabar"] <= run.metrics["max_drawdown"]
    daily = run.daily_returns
    # empyrical divides by n − 1.
    expected = empyrical.sharpe_ratio(daily, annualization=365) * math.sqrt(90 / 89)
    assert run.metrics["sharpe"] == pytest.approx(expected, rel=1e-9)
    assert np.prod(1 + daily) - 1 == pytest.approx(run.metrics["net_return"], rel=1e-9)
    for power in (1, 2, 3, 4):
        assert run.metrics[f"sum_r{power}"] == pytest.approx((daily**power).sum(), rel=1e-9)
    assert run.metrics["inner_days"] == 63
    assert run.metrics["inner_tail_days"] == 27
    assert run.metrics["inner_sum_r1"] == pytest.approx(daily[:63].sum())
    assert run.metrics["inner_tail_sum_r2"] == pytest.approx((daily[63:] ** 2).sum())


def test_blocks_are_sixteenths_of_the_days(inputs_of):
    inputs = inputs_of(seed=5, count=96 * 70)

    evaluation = evaluate(inputs, records_of([point()]), **whole(inputs))
    daily = simulate(inputs, point(), **whole(inputs)).daily_returns

    block = np.arange(70) * 16 // 70
    for k in range(16):
        expected = [(block == k).sum(), daily[block == k].sum(), (daily[block == k] ** 2).sum()]
        assert evaluation.blocks[0, k] == pytest.approx(expected)


def test_partial_first_and_last_days_are_dropped(inputs_of):
    inputs = inputs_of(count=96 * 5)

    run = simulate(inputs, point(), start=10, stop=96 * 4 + 50)

    assert run.metrics["days"] == 3
    assert [end // 86_400_000 - run.day_ends[0] // 86_400_000 for end in run.day_ends] == [0, 1, 2]
    equity = dict(run.equity.select(pl.col("closed_at").dt.epoch("ms"), "equity_quote").iter_rows())
    marks = [equity[run.day_ends[0] - 86_400_000], *(equity[end] for end in run.day_ends)]
    assert run.daily_returns == pytest.approx(np.diff(marks) / marks[:-1])


def test_below_60_days_or_without_a_trade_there_is_no_sharpe(inputs_of):
    short, long = inputs_of(count=96 * 59), inputs_of(count=96 * 61)

    assert math.isnan(evaluate(short, records_of([point()]), **whole(short)).metrics["sharpe"][0])
    assert not math.isnan(evaluate(long, records_of([point()]), **whole(long)).metrics["sharpe"][0])
    idle = evaluate(long, records_of([point(entry_z=50.0)]), **whole(long)).metrics.row(0, named=True)
    assert math.isnan(idle["sharpe"])
    assert math.isnan(idle["win_rate"])
    assert (idle["round_trips"], idle["days"], idle["net_return"], idle["max_drawdown"]) == (0, 61, 0.0, 0.0)


def test_an_absent_funding_score_changes_nothing_at_weight_zero(inputs_of):
    inputs = inputs_of(seed=3)
    without = replace(inputs, z_funding=np.full_like(inputs.z_funding, np.nan))

    one, other = (simulate(given_, point(funding_weight=0.0), **whole(inputs)) for given_ in (inputs, without))

    assert_frame_equal(one.fills, other.fills)
    assert simulate(without, point(), **whole(inputs)).counts["fills"] == 0


@pytest.mark.parametrize(("start", "stop"), [(-1, 10), (5, 5), (0, 10**6)])
def test_a_span_outside_the_inputs_is_refused(inputs_of, start, stop):
    with pytest.raises(SimulationError, match="expected slots 0 ≤ start < stop ≤"):
        evaluate(inputs_of(), records_of([point()]), start=start, stop=stop)

"""The path that passes over slots in which nothing can happen, against the one that looks at every bar."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helios_pipeline.simulation.arrays import PARAMETERS
from helios_pipeline.simulation.kernel import evaluate, simulate
from helios_pipeline.simulation.summary import METRICS
from helios_pipeline.sweep.points import parameter_sets

SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")
SHAPES = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 10**6),
        "symbols": st.sampled_from([SYMBOLS[:1], SYMBOLS[:1], SYMBOLS[:2], SYMBOLS]),
        "count": st.integers(250, 900),
        "missing": st.sampled_from([0.0, 0.03, 0.2]),
        "long_gaps": st.integers(0, 3),
        "max_open": st.integers(1, 3),
        "mark_prices": st.booleans(),
        # Too little for many a lot; what is usual; more quanta than a double tells apart.
        "equity": st.sampled_from([150, 2_000, 100_000, 60_000_000]),
    }
)


def random_records(seed, count):
    rng = np.random.default_rng(seed)
    records = np.zeros(count, PARAMETERS)
    records["lookback_bars"] = rng.integers(2, 40, count)
    records["funding_weight"] = rng.choice([0.0, 0.3, 1.0], count)
    records["entry_z"] = rng.uniform(0.5, 2.5, count)
    records["exit_z"] = rng.uniform(-0.45, 0.45, count)
    records["max_holding_bars"] = rng.integers(1, 80, count)
    records["cooldown_bars"] = rng.integers(0, 9, count)
    records["stop_atr"] = rng.choice([0.0, 0.05, 1.0, 4.0], count)
    return records


def looked_at_bar_by_bar(inputs, records, start, stop):
    runs = [simulate(inputs, point, start=start, stop=stop) for point in parameter_sets(records)]
    return np.array([[run.metrics[name] for name in METRICS] for run in runs]), runs


@settings(max_examples=15, deadline=None)
@given(SHAPES, st.integers(0, 10**6), st.integers(0, 60), st.integers(0, 60))
def test_passing_over_slots_changes_no_bit(inputs_of, shape, seed, start, cut):
    inputs, records = inputs_of(**shape), random_records(seed, 8)
    stop = len(inputs.opened_at) - cut

    evaluation = evaluate(inputs, records, start=start, stop=stop)

    rows, _ = looked_at_bar_by_bar(inputs, records, start, stop)
    assert evaluation.rows.tobytes() == rows.tobytes()


@pytest.mark.parametrize("markets", [1, 3])
def test_nor_over_months_in_which_everything_occurs(inputs_of, markets):
    inputs = inputs_of(
        seed=5, symbols=SYMBOLS[:markets], count=96 * 70, missing=0.02, long_gaps=4, max_open=2, mark_prices=True
    )
    records, stop = random_records(9, 12), len(inputs.opened_at)

    evaluation = evaluate(inputs, records, start=37, stop=stop)

    rows, runs = looked_at_bar_by_bar(inputs, records, 37, stop)
    assert evaluation.rows.tobytes() == rows.tobytes()
    assert not np.isnan(rows[:, METRICS.index("sharpe")]).any()
    occurred = {case: sum(run.counts[case] for run in runs) for case in runs[0].counts}
    rare = ("stops_at_open", "stops_in_bar", "stops_in_entry_bar", "settlements_at_entry", "settlements_at_exit")
    assert min(occurred[case] for case in (*rare, "held_over_a_missing_bar", "left_after_a_missing_bar")) > 0


def test_daily_returns_fall_into_the_blocks_that_their_day_says(inputs_of):
    inputs = inputs_of(seed=5, count=96 * 37)
    records, span = random_records(3, 1), {"start": 0, "stop": 96 * 37}

    blocks = evaluate(inputs, records, **span).blocks[0]

    (point,) = parameter_sets(records)
    returns = simulate(inputs, point, **span).daily_returns
    owner = np.arange(len(returns)) * 16 // len(returns)
    assert blocks[:, 0].tolist() == np.bincount(owner, minlength=16).tolist()
    assert blocks[:, 1] == pytest.approx(np.bincount(owner, returns, minlength=16), abs=1e-15)

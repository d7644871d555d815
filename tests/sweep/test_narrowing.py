import json
import math
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helios_pipeline.core.errors import SettingsError
from helios_pipeline.core.records import Window
from helios_pipeline.core.selection import Constraints
from helios_pipeline.sweep.grid import PARAMETER_NAMES, Grid
from helios_pipeline.sweep.narrowing import NextGrid, NoNextGrid, propose_next_grid
from helios_pipeline.sweep.points import points_frame
from helios_pipeline.sweep.rounds import judge_round
from helios_pipeline.sweep.run import Sweep

GRID = Grid(
    lookback_bars=(48, 96, 192, 384, 768),
    funding_weight=(0.0, 0.5),
    entry_z=(1.0, 1.5, 2.0, 2.5, 3.0),
    exit_z=(0.0,),
    max_holding_bars=(96,),
    cooldown_bars=(0, 8),
    stop_atr=(0.0, 2.0, 4.0),
)
PURGE_BARS = 480


def judged(sharpe_of, grid=GRID):
    n, sharpes = grid.size, [float(sharpe_of(point)) for point in grid.points()]
    measured = pl.DataFrame(
        {
            "sharpe": sharpes,
            "net_return": [sharpe / 10 for sharpe in sharpes],
            "max_drawdown": [-0.1] * n,
            "round_trips": [100] * n,
            "win_rate": [0.6] * n,
            **{name: [10] * n for name in ("inner_days", "inner_tail_days")},
            **{name: [0.01] * n for name in ("inner_sum_r1", "inner_tail_sum_r1", "inner_sum_r2", "inner_tail_sum_r2")},
        }
    )
    return judge_round(
        "round-1",
        Sweep(
            metrics=pl.concat([points_frame(grid.records()), measured], how="horizontal"),
            blocks=np.zeros((n, 16, 3)),
        ),
        grid=grid,
        window=Window(first=datetime(2024, 1, 1, tzinfo=UTC), last=datetime(2025, 1, 1, tzinfo=UTC)),
        constraints=Constraints(min_round_trips=20, max_drawdown_fraction=0.2, min_sharpe=1.5, min_win_rate=0.3),
    )


def propose(result, counts=None):
    return propose_next_grid(result, counts, purge_bars=PURGE_BARS)


def around(point):
    """Best at 192 bars and an entry at 2, with a stop of 4 ATRs."""
    return 3.0 - 2 * abs(point.entry_z - 2.0) - abs(math.log2(point.lookback_bars / 192)) - (4.0 - point.stop_atr) / 8


def test_the_next_grid_closes_in_on_the_passing_sets():
    proposal = propose(judged(around))

    assert isinstance(proposal, NextGrid)
    # Half a step below 96 to half a step above 384, and the same around 1.5 to 2.5, along the axes' own steps.
    assert proposal.grid.lookback_bars == (72, 120, 192, 336, 576)
    assert proposal.grid.entry_z == (1.25, 1.625, 2.0, 2.375, 2.75)
    assert proposal.grid.exit_z == (0.0,)
    assert "of 300 sets" in proposal.reason


def test_each_axis_records_its_bounds_step_and_reason():
    proposal = propose(judged(around))

    assert [axis.parameter for axis in proposal.axes] == list(PARAMETER_NAMES)
    entry = next(axis for axis in proposal.axes if axis.parameter == "entry_z")
    assert (entry.before, entry.after) == (GRID.entry_z, proposal.grid.entry_z)
    assert entry.step == pytest.approx((entry.after[-1] - entry.after[0]) / (len(entry.after) - 1))
    assert entry.reason == "survivors lie from 1.5 to 2.5"
    assert json.loads(json.dumps(proposal.summary(), allow_nan=False))["grid"] == proposal.grid.as_values()


def test_with_few_passing_sets_the_top_decile_stands_in():
    result = judged(lambda point: around(point) - 1.3)

    proposal = propose(result)

    assert 0 < result.pass_rate < 0.05
    assert proposal.reason.startswith(f"only {result.passed} of 300 sets")
    assert "30 profitable sets of the top decile" in proposal.reason


def test_a_round_in_which_nothing_makes_money_ends_the_search():
    proposal = propose(judged(lambda point: around(point) - 9.0))

    assert proposal == NoNextGrid(reason="none of 300 sets made money after costs: the search stops here")


def test_a_losing_set_never_holds_the_region_open():
    only_one_earns = propose(judged(lambda point: 1.0 if point == GRID.points()[140] else -1.0))

    assert "the 1 profitable sets" in only_one_earns.reason


def test_a_best_set_on_the_edge_moves_the_grid_one_step_beyond_it():
    proposal = propose(judged(lambda point: 1.0 + point.entry_z))

    entry = next(axis for axis in proposal.axes if axis.parameter == "entry_z")
    assert entry.after[-1] == 3.5
    assert entry.reason.endswith("the best set on the highest value: one step further is tried")


def test_no_stop_is_not_a_near_stop():
    without = propose(judged(lambda point: around(point) + (5.0 if point.stop_atr == 0 else -3.0)))
    either = propose(judged(lambda point: 2.0 - abs(point.entry_z - 2.0)))

    assert without.grid.stop_atr == (0.0,)
    assert either.grid.stop_atr == (0.0, 2.0, 4.0)


def test_survivors_everywhere_leave_nothing_to_narrow():
    one = Grid.from_values({name: values[:1] for name, values in GRID.as_values().items()})

    proposal = propose(judged(lambda point: 2.0, grid=one))

    assert proposal == NoNextGrid(
        reason="1 of 1 sets (100.0%) passed, but they span the whole grid: nothing is left to narrow"
    )


@given(st.lists(st.floats(-3, 4), min_size=GRID.size, max_size=GRID.size))
def test_a_proposal_never_grows_and_stays_within_one_step_of_the_grid(sharpes):
    values = iter(sharpes)

    proposal = propose(judged(lambda point: next(values)))

    if isinstance(proposal, NextGrid):
        assert proposal.grid.size <= GRID.size + GRID.combinations_left_out
        assert min(proposal.grid.lookback_bars) >= 2
        assert max(proposal.grid.lookback_bars) <= 768 + 384
        assert 0.5 <= min(proposal.grid.entry_z) <= max(proposal.grid.entry_z) <= 3.5
        assert min(proposal.grid.stop_atr + proposal.grid.cooldown_bars) >= 0


def test_a_parameter_gets_as_many_values_as_asked_for():
    proposal = propose(judged(around), {"entry_z": 9, "lookback_bars": 1, "stop_atr": 4})

    assert isinstance(proposal, NextGrid)
    assert proposal.grid.entry_z == tuple(1.25 + k * 1.5 / 8 for k in range(9))
    assert proposal.grid.lookback_bars == (192,)  # the best set's
    assert len(proposal.grid.stop_atr) == 4
    assert len(proposal.grid.funding_weight) == 2


@pytest.mark.parametrize(
    ("counts", "said"),
    [({"entry": 3}, r"expected parameters of .* found \['entry'\]"), ({"entry_z": 0}, "found {'entry_z': 0}")],
)
def test_counts_of_no_parameter_or_no_value_are_refused(counts, said):
    with pytest.raises(SettingsError, match=said):
        propose(judged(around), counts)


def test_no_holding_time_is_proposed_that_the_purge_does_not_keep_apart():
    grid = replace(GRID, entry_z=(2.0,), max_holding_bars=(96, 192, 480))
    longest_is_best = judged(lambda point: 1.0 + point.max_holding_bars / 96, grid=grid)

    proposal = propose(longest_is_best)
    more = propose(longest_is_best, {"max_holding_bars": 6})

    holding = next(axis for axis in proposal.axes if axis.parameter == "max_holding_bars")
    assert (holding.before, holding.after) == ((96, 192, 480), (96, 288, 480))
    assert holding.reason.endswith(
        "the best set on the highest value; none above 480, which is walk_forward.purge_bars in helios.toml"
    )
    assert len(more.grid.max_holding_bars) == 6
    assert more.grid.max_holding_bars[-1] == 480

"""A round's sets, days and costs in pictures."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from helios_pipeline.reports.costs import CostSplit
from helios_pipeline.reports.figures import (
    draw_cost_split,
    draw_coverage,
    draw_distribution,
    draw_equity,
    draw_folds,
    draw_heat_map,
    draw_heat_maps,
    draw_monthly_returns,
    draw_sensitivity,
    draw_slices,
)
from helios_pipeline.reports.figures.cells import EMPTY, ink_on, shade
from helios_pipeline.reports.figures.performance import monthly_returns
from helios_pipeline.sweep.grid import Grid
from helios_pipeline.sweep.points import points_frame

FIRST = datetime(2025, 1, 1, tzinfo=UTC)
GRID = Grid(
    lookback_bars=(48, 96),
    funding_weight=(0.0,),
    entry_z=(2.0, 3.0, 4.0),
    exit_z=(0.0,),
    max_holding_bars=(96,),
    cooldown_bars=(0, 8),
    stop_atr=(0.0,),
)
BEST = {"lookback_bars": 48, "entry_z": 2.0, "cooldown_bars": 0}


@pytest.fixture
def metrics():
    points = points_frame(GRID.records())
    return points.with_columns(sharpe=pl.col("lookback_bars") / 48 - pl.col("entry_z"))


def words(figure):
    return [text.get_text() for text in figure.texts]


def days(count, growth=1.001):
    at = [FIRST + timedelta(days=k + 1) for k in range(count)]
    return pl.DataFrame({"at": at, "growth": np.cumprod(np.full(count, growth))})


def test_a_heat_map_says_what_stands_for_the_other_parameters(metrics):
    shown = words(draw_heat_map(metrics, "entry_z", "lookback_bars"))
    best = words(draw_heat_map(metrics, "entry_z", "lookback_bars", over="best"))

    assert "Sharpe: lookback_bars against entry_z, median over all other parameters" in shown
    assert "Sharpe: lookback_bars against entry_z, best of all other parameters" in best
    # sharpe is lookback / 48 - entry: 1 - 2 to 2 - 4.
    assert {"-1.00", "-2.00", "-3.00", "0.00"} <= set(shown)


def test_a_heat_map_without_a_single_value_says_so(metrics):
    empty = metrics.with_columns(sharpe=pl.lit(float("nan")))

    assert "no set has a value" in words(draw_heat_map(empty, "entry_z", "lookback_bars"))


def test_all_pairs_name_every_swept_parameter_and_no_other(metrics):
    shown = set(words(draw_heat_maps(metrics)))

    assert {"lookback_bars", "entry_z", "cooldown_bars"} <= shown
    assert "exit_z" not in shown


@pytest.mark.parametrize("over", ["median", "best"])
def test_no_word_of_a_heat_map_is_cut_off_however_few_parameters_there_are(metrics, over):
    two = metrics.filter(pl.col("cooldown_bars") == 0)
    for figure in (draw_heat_maps(two, over=over), draw_heat_map(two, "entry_z", "lookback_bars", over=over)):
        drawn = FigureCanvasAgg(figure).get_renderer()
        for text in figure.texts:
            place = text.get_window_extent(drawn)
            assert place.x0 >= 0, text.get_text()
            assert place.x1 <= figure.bbox.width, text.get_text()


def test_one_swept_parameter_makes_no_pair(metrics):
    one = metrics.filter((pl.col("entry_z") == 2.0) & (pl.col("cooldown_bars") == 0))

    assert "fewer than two parameters were varied" in words(draw_heat_maps(one))


def test_sensitivity_has_a_panel_per_swept_parameter(metrics):
    shown = words(draw_sensitivity(metrics, BEST))

    assert [name for name in shown if name in GRID.as_values()] == ["lookback_bars", "entry_z", "cooldown_bars"]


def test_sensitivity_without_a_value_says_so(metrics):
    empty = metrics.with_columns(sharpe=pl.lit(float("nan")))

    assert "no parameter was varied, or no set has a value" in words(draw_sensitivity(empty, BEST))


def test_a_distribution_marks_luck_the_best_set_and_what_is_needed(metrics):
    shown = words(draw_distribution(metrics["sharpe"].to_numpy(), best=0.0, luck=1.5, needed=2.5))

    assert "Sharpe ratio (annualised, in sample) of all sets: 12; luck 1.50, best set 0.00, needed 2.50" in shown
    assert {"luck", "best set", "needed"} <= set(shown)


def test_a_distribution_leaves_out_marks_that_there_are_not(metrics):
    shown = words(draw_distribution(metrics["sharpe"].to_numpy(), best=float("nan"), luck=1.5, needed=None))

    assert "luck" in shown
    assert "needed" not in shown
    assert "best set" not in shown


def test_equity_says_which_lines_there_are():
    none = days(0)

    assert "in sample" in words(draw_equity(days(90), none))[0]
    assert "out of sample" not in words(draw_equity(days(90), none))[0]
    assert "out of sample" in words(draw_equity(days(90), days(30)))[0]
    assert "no rows" in words(draw_equity(none, none))


def test_months_are_compounded_days():
    daily = pl.DataFrame({"day": [FIRST + timedelta(days=k) for k in range(59)], "daily_return": [0.01] * 59})

    months = monthly_returns(daily)

    assert months["net_return"].to_list() == pytest.approx([1.01**31 - 1, 1.01**28 - 1])
    assert {"+36.1", "+32.1", "2025", "Jan", "year", f"{(1.01**59 - 1) * 100:+.1f}"} <= set(
        words(draw_monthly_returns(daily))
    )


def test_a_fold_that_chose_nothing_says_so():
    folds = pl.DataFrame(
        {
            "fold": [1, 2],
            "in_sample_sharpe": [2.0, float("nan")],
            "out_of_sample_sharpe": [-1.0, None],
            "parameters": ["{}", None],
        },
        schema_overrides={"out_of_sample_sharpe": pl.Float64},
    )

    noisy = draw_folds(folds.with_columns(noise_would_score=pl.lit(1.8)))

    assert words(draw_folds(folds)).count("no set passed") == 1
    assert any("green line: noise in sample" in text for text in words(noisy))
    assert len(noisy.get_children()) == len(draw_folds(folds).get_children()) + folds.height


def test_costs_are_written_with_their_amounts():
    split = CostSplit(gross=10_000_00000000, spread_and_slippage=-1_000_00000000, fees=-2_000_00000000,
                      funding=500_00000000, net=7_500_00000000)  # fmt: skip

    assert {"+10,000", "-1,000", "-2,000", "+500", "+7,500", "spread and slippage"} <= set(
        words(draw_cost_split(split))
    )


def test_coverage_names_every_instrument():
    covered = pl.DataFrame(
        {
            "instrument": ["BTCUSDT-PERP.BINANCE", "ETHUSDT-PERP.BINANCE"] * 10,
            "day": [FIRST + timedelta(days=k // 2) for k in range(20)],
            "missing": [0, 0, 4, 0] * 5,
            "quarantined": [0, 2, 0, 0] * 5,
        }
    )

    assert {"BTCUSDT-PERP.BINANCE", "ETHUSDT-PERP.BINANCE"} <= set(words(draw_coverage(covered)))
    assert "no rows" in words(draw_coverage(covered.clear()))


def test_cells_are_told_apart_by_sign_and_read_on_any_shade():
    assert shade(float("nan"), 1.0) == EMPTY
    assert shade(0.0, 1.0) == "#eef0f3"
    assert shade(2.0, 1.0) == shade(1.0, 1.0) != shade(-1.0, 1.0)
    assert ink_on(0.1, 1.0) != ink_on(-0.9, 1.0)


def test_slices_show_each_swept_parameter_and_say_when_there_is_nothing(metrics):
    best = BEST | {"funding_weight": 0.0, "exit_z": 0.0, "max_holding_bars": 96, "stop_atr": 0.0}

    shown = words(draw_slices(metrics, best))

    assert {"lookback_bars", "entry_z", "cooldown_bars"} <= set(shown)
    assert "stop_atr" not in shown
    assert any("no set has a value" in text for text in words(draw_slices(metrics.clear(), best)))

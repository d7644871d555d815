import polars as pl
from matplotlib.lines import Line2D

from helios_pipeline.reports.figures import draw_control
from helios_pipeline.reports.figures.canvas import GREEN


def test_noise_has_a_line_in_every_market_searched():
    markets, best = ["as it was", "seed 1"], [2.5, float("nan")]
    rows = pl.DataFrame({"market": markets, "best_sharpe": best, "noise_would_score": 2.1, "found": [True, False]})

    lines = [line for line in draw_control(rows).findobj(Line2D) if line.get_color() == GREEN]

    assert len(lines) == len(markets)

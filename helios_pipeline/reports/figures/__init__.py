"""Figures: pure functions from frames to matplotlib figures, for Dagster's UI as PNG and for reports as SVG."""

from helios_pipeline.reports.figures.bias import draw_control, draw_reruns, draw_stress
from helios_pipeline.reports.figures.canvas import to_png, to_svg
from helios_pipeline.reports.figures.choices import draw_choices
from helios_pipeline.reports.figures.convergence import draw_convergence
from helios_pipeline.reports.figures.coverage import draw_coverage
from helios_pipeline.reports.figures.market import (
    draw_bars,
    draw_features,
    draw_funding,
    draw_klines,
    draw_open_interest,
)
from helios_pipeline.reports.figures.performance import (
    draw_cost_split,
    draw_equity,
    draw_folds,
    draw_monthly_returns,
)
from helios_pipeline.reports.figures.rounds import (
    draw_distribution,
    draw_heat_map,
    draw_heat_maps,
    draw_sensitivity,
    draw_slices,
)

__all__ = [
    "draw_bars",
    "draw_choices",
    "draw_control",
    "draw_convergence",
    "draw_cost_split",
    "draw_coverage",
    "draw_distribution",
    "draw_equity",
    "draw_features",
    "draw_folds",
    "draw_funding",
    "draw_heat_map",
    "draw_heat_maps",
    "draw_klines",
    "draw_monthly_returns",
    "draw_open_interest",
    "draw_reruns",
    "draw_sensitivity",
    "draw_slices",
    "draw_stress",
    "to_png",
    "to_svg",
]

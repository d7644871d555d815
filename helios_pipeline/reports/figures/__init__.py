"""Figures: pure functions from frames to matplotlib figures, for Dagster's UI as PNG and for reports as SVG."""

from helios_pipeline.reports.figures.canvas import to_png, to_svg
from helios_pipeline.reports.figures.market import (
    draw_bars,
    draw_features,
    draw_funding,
    draw_klines,
    draw_open_interest,
)

__all__ = [
    "draw_bars",
    "draw_features",
    "draw_funding",
    "draw_klines",
    "draw_open_interest",
    "to_png",
    "to_svg",
]

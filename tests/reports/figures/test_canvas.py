"""Lines of any length, ticks, and figures as bytes."""

import io
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from helios_pipeline.reports.figures.canvas import (
    HEIGHT,
    POINTS,
    WIDTH,
    draw_line,
    on_clock,
    percent,
    range_of,
    round_numbers,
    runs,
    say,
    short_number,
    stack_panels,
    thin_out,
    time_axis,
    to_png,
    to_svg,
)


def drawn():
    (panel,) = stack_panels((0.0, 10.0), [(1, (0.0, 1.0))])
    say(panel, "a <line> & more")
    draw_line(panel, np.arange(10.0), np.linspace(0.0, 1.0, 10))
    return panel.figure


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=3000))
def test_thinning_keeps_the_extremes_and_the_order(values):
    at, shown = thin_out(np.arange(float(len(values))), np.array(values))

    assert (shown.min(), shown.max()) == (min(values), max(values))
    assert np.all(np.diff(at) > 0)
    assert len(at) <= max(POINTS, len(values) if len(values) <= POINTS else POINTS + 2)


def test_thinning_keeps_a_stretch_without_values_apart():
    values = np.ones(4000)
    values[1000:3000] = np.nan

    _, shown = thin_out(np.arange(4000.0), values)

    assert np.isnan(shown).any()
    assert np.isnan(shown[np.flatnonzero(np.isnan(shown))[0] : np.flatnonzero(np.isnan(shown))[-1]]).all()


def test_no_line_bridges_a_gap():
    at, values = on_clock(np.array([0.0, 1.0, 5.0, 6.0]), np.array([1.0, 2.0, 3.0, 4.0]), 1.0)

    assert at.tolist() == [0.0, 1.0, 2.0, 5.0, 6.0]
    assert values.tolist()[:2] + values.tolist()[3:] == [1.0, 2.0, 3.0, 4.0]
    assert np.isnan(values[2])


def test_runs_end_after_their_last_row():
    first, after = runs(np.array([0.0, 1.0, 5.0, 6.0, 7.0]), 1.0)

    assert (first.tolist(), after.tolist()) == ([0.0, 5.0], [2.0, 8.0])
    assert [len(each) for each in runs(np.array([]), 1.0)] == [0, 0]


@pytest.mark.parametrize("values", [[], [np.nan], [0.0], [5.0, 5.0], [-3.0]])
def test_a_range_has_an_extent_whatever_there_is_to_hold(values):
    low, high = range_of(values)

    assert low < high


def test_places_are_pixels():
    upper, lower = stack_panels((100.0, 200.0), [(3, (0.0, 1.0)), (1, (0.0, 1.0))])

    assert float(upper.across(100.0)) == upper.left
    assert float(upper.across(200.0)) == upper.left + upper.width
    assert lower.bottom + lower.height < upper.bottom
    assert upper.height == pytest.approx(3 * lower.height)


@pytest.mark.parametrize(
    ("first", "last", "words"),
    [
        ((2024, 1, 1), (2024, 2, 1), ["01-01", "01-08", "01-15", "01-22", "01-29"]),
        ((2023, 1, 1), (2024, 12, 31), ["2023-01", "2023-07", "2024-01", "2024-07"]),
        ((2024, 5, 1), (2024, 5, 2), ["05-01", "05-02"]),
    ],
)
def test_time_is_marked_at_whole_days_or_months(first, last, words):
    ends = [datetime(*day, tzinfo=UTC).timestamp() for day in (first, last)]
    (panel,) = stack_panels((ends[0], ends[1]), [(1, (0.0, 1.0))])

    time_axis(panel)

    assert [text.get_text() for text in panel.figure.texts] == words


def test_numbers_on_an_axis_are_few_and_inside():
    numbers = round_numbers((0.13, 0.97), 3)

    assert 2 <= len(numbers) <= 5
    assert all(0.13 <= number <= 0.97 for number in numbers)


@pytest.mark.parametrize(
    ("value", "text"), [(0.0, "0"), (12_500.0, "12.5k"), (3.2e6, "3.2M"), (-2e9, "-2B"), (0.0031, "0.0031")]
)
def test_numbers_are_short(value, text):
    assert short_number(value) == text


def test_fractions_are_percentages():
    assert [percent(0.5), percent(-0.0625)] == ["50%", "-6.25%"]


def test_a_png_has_the_size_it_is_shown_at():
    image = Image.open(io.BytesIO(to_png(drawn())))

    assert (image.size, image.format) == ((WIDTH, HEIGHT), "PNG")


def test_equal_figures_give_equal_bytes():
    assert to_png(drawn()) == to_png(drawn())
    assert to_svg(drawn()) == to_svg(drawn())


def test_an_svg_is_one_element_with_its_words_as_text_and_no_date():
    svg = to_svg(drawn())

    assert svg.startswith("<svg")
    assert svg.endswith("</svg>")
    assert "a &lt;line&gt; &amp; more" in svg
    assert "dc:date" not in svg

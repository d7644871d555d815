"""Pages: complete in themselves, escaped, and readable."""

from datetime import UTC, date, datetime
from decimal import Decimal

import polars as pl
import pytest

from helios_pipeline.reports.figures.canvas import say_nothing_there
from helios_pipeline.reports.page import (
    Facts,
    Items,
    Page,
    Picture,
    Section,
    Text,
    Verdict,
    render_page,
    show,
    simulated_warning,
    table_of,
)

HOSTILE = "<script>alert('x')</script> & \"y\""


def page(*blocks, warning=None, title="A round"):
    return Page(
        kind="optimization round",
        title=title,
        verdict=Verdict(word="Refused.", sentence=HOSTILE, tone="bad"),
        warning=warning,
        facts=(("market data", HOSTILE),),
        sections=(Section("Round trips & more", blocks),),
        version="abc123",
        made_at=datetime(2025, 1, 2, 3, 4, tzinfo=UTC),
    )


def test_every_word_is_escaped():
    table = table_of([{"name": HOSTILE}])
    html = render_page(page(Text(HOSTILE), Items((HOSTILE,)), Facts(((HOSTILE, HOSTILE),)), table, title=HOSTILE))

    assert "<script" not in html
    assert html.count("&lt;script&gt;") == 9  # verdict, market data, text, item, name, value, cell, title twice


def test_a_figure_is_inside_the_page_with_its_description():
    html = render_page(page(Picture(say_nothing_there("rates <per hour>"), 'what it "shows"')))

    assert "<svg" in html
    assert 'aria-label="what it &#34;shows&#34;"' in html
    assert "rates &lt;per hour&gt;" in html


def test_a_page_says_when_it_was_made_and_of_what():
    assert "Made at 2025-01-02 03:04 UTC, version abc123." in render_page(page())


def test_contents_link_to_the_sections():
    html = render_page(page(Text("x")))

    assert '<a href="#round-trips-more">Round trips &amp; more</a>' in html
    assert '<section id="round-trips-more">' in html


def test_a_simulated_market_is_said_loudly_and_the_real_one_is_not():
    warning = simulated_warning("simulated seed 13 market af89364d")

    assert warning is not None
    assert 'role="alert">Simulated market' in render_page(page(warning=warning))
    assert simulated_warning("binance") is None
    assert 'role="alert"' not in render_page(page())


def test_numbers_stand_at_the_right_and_verdicts_have_a_colour():
    html = render_page(page(table_of([{"gate": "pbo", "verdict": "failed", "sets": 1440, "found": None}])))

    assert '<td class="number">1,440</td>' in html
    assert '<td class="short bad">failed</td>' in html
    assert '<th scope="col" class="number">sets</th>' in html


@pytest.mark.parametrize(
    ("value", "form", "text"),
    [
        (None, None, "–"),
        (float("nan"), ".2f", "–"),
        (Decimal("NaN"), None, "–"),
        (True, None, "yes"),
        (1440, None, "1,440"),
        (0.123456, None, "0.1235"),
        (123_456.7, None, "123,457"),
        (2.0, None, "2"),
        (-0.0583, ".1%", "-5.8%"),
        (Decimal("0.0005"), None, "0.0005"),
        (datetime(2025, 1, 2, 3, 4, tzinfo=UTC), None, "2025-01-02 03:04"),
        (date(2025, 1, 2), None, "2025-01-02"),
        ("BTCUSDT-PERP.BINANCE", None, "BTCUSDT-PERP.BINANCE"),
    ],
)
def test_values_are_shown_as_people_read_them(value, form, text):
    assert show(value, form) == text


def test_tables_are_made_of_frames_and_of_rows():
    frame = pl.DataFrame({"net_return": [0.5], "name": ["a"]})

    assert table_of(frame, {"net_return": ".0%"}) == table_of(frame.to_dicts(), {"net_return": ".0%"})
    assert table_of(frame, {"net_return": ".0%"}).rows == (("50%", "a"),)
    assert [column.name for column in table_of(frame).columns] == ["net return", "name"]
    assert table_of([]).rows == ()

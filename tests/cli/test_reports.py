"""`helios report`, as a person runs it."""

import pytest

from helios_pipeline.adapters.reports.store import ReportStore
from tests.helios_home import new_home


@pytest.fixture
def home(memory_folder):
    with new_home(memory_folder) as made:
        yield made


@pytest.fixture
def store(home):
    return ReportStore(home.home / "reports")


def test_without_reports_the_command_that_makes_them_is_named(home):
    listed, one = home.run("report"), home.run("report", "round")

    assert (listed.code, listed.out) == (0, "No report was made yet. `helios research` makes them.\n")
    assert one.code == 2
    assert one.lines == ["helios: report round: expected one that was made, found none. `helios research` makes it."]


def test_reports_are_listed_with_kind_name_time_and_path(home, store):
    stored = store.replace("data-quality", "binance", "x", version="v1")
    store.replace("champion", "paper", "x", version="v1")

    listed = home.run("report", COLUMNS="200").out

    assert "about" in listed
    assert all(word in listed for word in ("data", "binance", "champion", "paper", f"{stored.made_at:%Y-%m-%d %H:%M}"))
    assert str(stored.path) in listed


def test_the_path_of_the_newest_or_of_a_named_report_is_printed(home, store):
    first = store.replace("round", "first", "x", version="v1")
    second = store.replace("round", "second", "x", version="v1")

    assert home.run("report", "round").out == f"{second.path}\n"
    assert home.run("report", "round", "first").out == f"{first.path}\n"


def test_an_unknown_name_is_one_line_that_says_which_there_are(home, store):
    store.replace("round", "first", "x", version="v1")

    outcome = home.run("report", "round", "other")

    assert outcome.code == 2
    assert outcome.lines == [
        "helios: report round other: expected one that was made, found first. `helios research` makes it."
    ]


def test_a_report_is_copied_where_it_is_wanted(home, store):
    store.replace("data-quality", "binance", "<p>x</p>", version="v1")
    target = home.folder / "new" / "data.html"

    outcome = home.run("report", "data", "--output", str(target))

    assert outcome.code == 0
    assert target.read_text() == "<p>x</p>"


def test_a_folder_is_no_place_for_a_copy(home, store):
    store.replace("data-quality", "binance", "<p>x</p>", version="v1")

    outcome = home.run("report", "data", "--output", str(home.folder))

    assert outcome.code == 2
    assert "expected a file, found the folder" in outcome.lines[0]


def test_a_report_is_opened_in_the_browser(home, store):
    stored = store.replace("champion", "paper", "x", version="v1")
    browser, opened = home.folder / "browser", home.folder / "opened"
    browser.write_text(f'#!/bin/sh\nprintf %s "$1" > {opened}.part\nmv {opened}.part {opened}\n')
    browser.chmod(0o755)

    outcome = home.run("report", "champion", "--open", BROWSER=f"{browser} %s")

    assert outcome.code == 0
    assert opened.read_text() == stored.path.as_uri()

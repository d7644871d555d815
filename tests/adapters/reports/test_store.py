"""Reports as files."""

import os
from datetime import UTC, datetime

import pytest

from helios_pipeline.adapters.reports.store import ReportStore


@pytest.fixture
def store(tmp_path):
    return ReportStore(tmp_path / "reports")


def test_a_report_is_kept_by_kind_name_and_version(store, tmp_path):
    stored = store.replace("round", "2025-01_2025-05_ab", "<p>one</p>", version="v1")

    assert stored.path == tmp_path / "reports" / "round" / "2025-01_2025-05_ab" / "v1.html"
    assert stored.path.read_text() == "<p>one</p>"
    assert (stored.path.parent / "latest.html").read_text() == "<p>one</p>"
    assert stored.address == "/reports/round/2025-01_2025-05_ab/v1.html"


def test_an_address_is_one_whatever_the_name_holds(store):
    assert store.replace("round", "a b?#", "x", version="v").address == "/reports/round/a%20b%3F%23/v.html"


def test_an_equal_version_is_not_rewritten(store):
    first = store.replace("round", "r", "<p>one</p>", version="v1")
    os.utime(first.path, (1, 1))

    again = store.replace("round", "r", "<p>another</p>", version="v1")

    assert again.made_at == datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)
    assert again.path.read_text() == "<p>one</p>"


def test_earlier_versions_stay(store):
    for version in ("v1", "v2"):
        store.replace("champion", "paper", version, version=version)

    assert {each.version for each in store.versions("champion", "paper")} == {"v1", "v2"}
    assert [each.version for each in store.latest("champion")] == ["v2"]


def test_what_was_stored_last_is_the_latest_though_it_was_made_first(store):
    for version in ("v1", "v2", "v1"):
        store.replace("champion", "paper", version, version=version)

    assert [each.version for each in store.versions("champion", "paper")] == ["v1", "v2"]


def test_the_newest_name_comes_first(store):
    for at, name in enumerate(("old", "new")):
        stored = store.replace("round", name, name, version="v")
        os.utime(stored.path.with_name("latest.html"), (at + 1, at + 1))

    assert [each.name for each in store.latest("round")] == ["new", "old"]


def test_a_folder_without_reports_has_none(store):
    assert store.latest("round") == []
    assert store.versions("round", "r") == []
    assert store.find("round", "r", version="v") is None


def test_a_version_is_found_or_not(store):
    stored = store.replace("round", "r", "x", version="v1")

    assert store.find("round", "r", version="v1") == stored
    assert store.find("round", "r", version="v2") is None


@pytest.mark.parametrize("name", ["", "..", ".hidden", "a/b", "../x", "a\\b"])
def test_names_stay_inside_their_folder(store, name):
    with pytest.raises(ValueError, match="one part of a path"):
        store.replace("round", name, "x", version="v")


def test_nothing_unfinished_is_left(store, tmp_path):
    store.replace("round", "r", "x", version="v1")

    assert sorted(path.name for path in (tmp_path / "reports" / "round" / "r").iterdir()) == ["latest.html", "v1.html"]

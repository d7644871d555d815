"""`helios rounds` and rounds out of a file, as a person runs them."""

import re
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from distributed import LocalCluster

from helios_pipeline.cli.grid_file import grid_overrides
from helios_pipeline.cli.rounds import _count, _with_counts, _write
from helios_pipeline.core.errors import DataError, SettingsError
from helios_pipeline.core.past_rounds import PastRound
from helios_pipeline.core.records import Window
from helios_pipeline.settings import load_settings
from tests.generated_round import make_research
from tests.helios_home import ROOT

ROUND = """
[grid]
lookback_bars = [96, 192]
funding_weight = [0.0]
entry_z = [2.0, 2.25]
exit_z = [0.0]
max_holding_bars = [96]
cooldown_bars = [0]
stop_atr = [0.0]

[search]
sampler = "random"
sets = 40
seed = 7
"""

PAST = PastRound(
    name="2024-01_2024-03_0123abcd",
    market_data="binance",
    instruments=("BTCUSDT-PERP.BINANCE",),
    window=Window(first=datetime(2024, 1, 1, tzinfo=UTC), last=datetime(2024, 3, 12, tzinfo=UTC)),
    sampler="grid",
    sets=16,
    passed=0,
    trials=16,
    best_parameters={},
    best_sharpe=None,
    best_proscore2=0.0,
    grid={},
    proposal={},
    made_at=datetime(2024, 4, 1, tzinfo=UTC),
)


def test_a_file_takes_the_place_of_grid_and_search_and_of_nothing_else(tmp_path):
    path = tmp_path / "next.toml"
    path.write_text(ROUND)
    shipped = load_settings(ROOT / "helios.toml", {})

    settings = load_settings(ROOT / "helios.toml", {}, grid_overrides(path))

    assert settings.grid.entry_z == (2.0, 2.25)
    assert (settings.search.sampler, settings.search.sets, settings.search.seed) == ("random", 40, 7)
    assert settings.costs == shipped.costs
    assert grid_overrides(None) == {}


def test_a_file_that_is_none_or_holds_a_value_that_is_not_allowed_is_said(tmp_path):
    path = tmp_path / "next.toml"

    with pytest.raises(SettingsError, match=r"expected a TOML file, found: .*`helios rounds write .*` makes one"):
        grid_overrides(path)
    path.write_text(ROUND.replace("lookback_bars = [96, 192]", "lookback_bars = [1]"))
    with pytest.raises(SettingsError, match=r"command line: grid.lookback_bars"):
        load_settings(ROOT / "helios.toml", {}, grid_overrides(path))


def test_a_file_is_replaced_only_by_force(tmp_path):
    path = tmp_path / "next.toml"
    _write(path, "first", force=False)

    with pytest.raises(SettingsError, match=r"expected no file at .*next.toml, found one.* --force"):
        _write(path, "second", force=False)

    assert path.read_text() == "first"
    _write(path, "third", force=True)
    assert path.read_text() == "third"


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize(("name", "found"), [(".", "Is a directory"), ("none/next.toml", "No such file or directory")])
def test_a_place_for_no_file_is_said(tmp_path, name, found, force):
    with pytest.raises(SettingsError, match=f"expected a place for a file at .*, found: {found}"):
        _write(tmp_path / name, "", force=force)


@pytest.mark.parametrize("text", ["entry_z=²", "entry_z=", "entry_z", "entry_z=-1", "entry_z=1000000000000"])
def test_a_count_that_is_none_is_said(text):
    with pytest.raises(SettingsError, match=f"expected PARAMETER=COUNT .* three digits at most, found {text}"):
        _count(text)


def test_counts_for_a_round_that_the_lake_lacks_name_what_is_missing(tmp_path):
    settings = load_settings(ROOT / "helios.toml", {"HELIOS_HOME": str(tmp_path)})

    with pytest.raises(DataError, match=r"expected the partition 2024-01_2024-03_0123abcd of sweep_results, found no"):
        _with_counts(settings, PAST, None, [("entry_z", 3)])


SECTIONS = (
    *("Gates", "Equity", "Parameters", "Luck", "Walk-forward", "Costs", "Round trips", "Second engine"),
    *("Next round", "Rounds", "Inputs"),
)
PICTURES = (
    *("Sharpe ratio by parameter", "Sharpe ratio along each parameter through the best set", "Heat map of the Sharpe"),
    *("Heat maps of the Sharpe ratio for every pair of parameters", "Distribution of the Sharpe ratio over all sets"),
    *("Sharpe ratio in and out of sample per fold", "Sets, pass rate, ProScore2 and Sharpe of the best, per round"),
)


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_round_leads_to_a_file_that_is_edited_sampled_judged_and_reported(
    run_here, database, lend_passwords, monkeypatch, tmp_path
):
    for name in ("DAGSTER_HOME", "DAGSTER_POSTGRES_URL"):
        monkeypatch.setenv(name, "")  # which the commands set; afterwards they are as they were
    make_research(tmp_path, **{"walk_forward.out_of_sample_days": 5})
    lend_passwords(tmp_path / "home")
    helios = partial(run_here, folder=tmp_path, HELIOS_DATABASE_URL=database.urls.owner)
    path = tmp_path / "next.toml"

    swept, written = helios("sweep"), helios("rounds", "write", "next.toml", "--values", "entry_z=4")
    again = helios("rounds", "write", "next.toml")
    proposed = path.read_text()
    path.write_text(proposed.replace('sampler = "grid"', 'sampler = "sobol"').replace("sets = 2000", "sets = 24"))
    sampled = helios("sweep", "--grid", "next.toml")
    with LocalCluster(
        n_workers=1, threads_per_worker=1, processes=True, dashboard_address=":0", memory_limit=0
    ) as cluster:
        judged = helios("walk-forward", "--grid", "next.toml", "--cluster", cluster.scheduler_address)
        evaluated_there = set(cluster.scheduler.task_prefixes)
    compared = helios("backtest", "--grid", "next.toml")
    decided = helios("promote", "--grid", "next.toml")
    listed, report = helios("rounds"), helios("report", "round")

    for outcome in (swept, written, sampled, judged, compared, decided, listed, report):
        assert (outcome.code, outcome.err) == (0, "")
    assert (again.code, "--force" in again.err) == (2, True)
    assert re.search(r"entry_z = \[([0-9.]+, ){3}[0-9.]+\]", proposed)
    assert "24, of which" in sampled.out
    assert re.search("All folds: out-of-sample Sharpe .* of folds positive", judged.out)
    assert "noise would score" in judged.out
    assert "evaluate_chunk" in evaluated_there
    assert re.search(r"[0-9,]+ +equal +[0-9.]+ +[0-9,]+ *$", compared.out, re.M)
    assert re.findall("  (grid|sobol) +([0-9]+) ", listed.out) == [("grid", "16"), ("sobol", "24")]
    page = Path(report.out.strip()).read_text()
    assert [title for title in SECTIONS if f">{title}</h2>" not in page] == []
    assert [alt for alt in PICTURES if f'aria-label="{alt}' not in page] == []

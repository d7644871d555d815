"""`helios rounds` and rounds out of a file, as a person runs them."""

import pytest

from helios_pipeline.cli.grid_file import grid_overrides
from helios_pipeline.core.errors import SettingsError
from helios_pipeline.settings import load_settings
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

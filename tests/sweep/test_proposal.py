import tomllib

import pytest

from helios_pipeline.core.errors import SettingsError
from helios_pipeline.sweep.grid import PARAMETER_NAMES, Grid
from helios_pipeline.sweep.proposal import Proposal, proposal_text, tables_of
from helios_pipeline.sweep.search import Search

GRID = Grid(
    lookback_bars=(72, 120, 192),
    funding_weight=(0.0, 0.5),
    entry_z=(1.25, 1.625),
    exit_z=(0.0,),
    max_holding_bars=(96,),
    cooldown_bars=(0, 8),
    stop_atr=(0.0, 0.3),
)


def proposal(sampler="grid"):
    return Proposal(
        after="2024-01_2024-06_0123abcd",
        grid=GRID,
        search=Search(sampler=sampler, sets=500, seed=7),
        reason="30 of 300 sets (10.0%) passed",
        axes=dict.fromkeys(PARAMETER_NAMES, "survivors lie from 1 to 2"),
    )


def test_a_proposal_is_read_again_as_it_was_written():
    found = tables_of(tomllib.loads(proposal_text(proposal("sobol"))), "next.toml")

    assert Grid.from_values({name: found["grid", name] for name in PARAMETER_NAMES}) == GRID
    assert [found["search", key] for key in ("sampler", "sets", "seed")] == ["sobol", 500, 7]


def test_it_says_why_how_many_sets_and_what_to_do():
    text = proposal_text(proposal())

    assert "# After 2024-01_2024-06_0123abcd: 30 of 300 sets (10.0%) passed." in text
    assert "# 48 sets. Edit any value, then: helios sweep --grid THIS_FILE" in text
    assert "entry_z = [1.25, 1.625]    # survivors lie from 1 to 2" in text
    assert "# 500 sets." in proposal_text(proposal("random"))


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({}, r"next.toml: expected a table \[grid\] and maybe \[search\], found nothing"),
        ({"grid": GRID.as_values(), "costs": {}}, r"found \['costs', 'grid'\]"),
        ({"grid": {"entry_z": [1.0]}}, r"expected in \[grid\] exactly .* found \['entry_z'\]"),
        ({"grid": GRID.as_values(), "search": {"seed": 1}}, r"expected in \[search\] exactly .* found \['seed'\]"),
    ],
)
def test_what_does_not_belong_into_the_file_is_said(document, said):
    with pytest.raises(SettingsError, match=said):
        tables_of(document, "next.toml")


def test_without_a_search_the_one_of_the_settings_holds():
    assert {table for table, _ in tables_of({"grid": GRID.as_values()}, "next.toml")} == {"grid"}

"""`helios check bias` on a round in the lake."""

import re

from helios_pipeline.bias.stress import COST_KINDS
from helios_pipeline.cli.bias import _show_rows
from helios_pipeline.settings import load_settings
from tests.generated_round import make_research, sweep_round
from tests.helios_home import ROOT

CHECKS = ["look ahead", "warm up", "costs", "delay", "shuffled market"]


def test_the_command_shows_every_check_and_ends_as_they_did(make_home):
    home = make_home()
    sweep_round(make_research(home.folder))

    done = home.run("check", "bias")

    found = dict(re.findall(r"^(look ahead|warm up|costs|delay|shuffled market) +(passed|failed)", done.out, re.M))
    assert list(found) == CHECKS, done.err
    assert {found[name] for name in ("look ahead", "warm up", "shuffled market")} == {"passed"}
    assert "as it was" in done.out
    assert done.code == (10 if "failed" in found.values() else 0)


def test_every_row_that_decides_the_costs_of_the_shipped_settings_is_shown(capsys):
    factors = load_settings(ROOT / "helios.toml", {}).bias.cost_factors
    rows = [{"cost": kind, "factor": factor} for kind in COST_KINDS for factor in factors]

    _show_rows("costs", rows)

    shown = capsys.readouterr().out
    assert re.findall(r"^(.+\S) +([0-9.]+) *$", shown, re.M) == [(row["cost"], f"{row['factor']:g}") for row in rows]
    assert "left out" not in shown


def test_rows_that_are_left_out_are_counted(capsys):
    _show_rows("delay", [{"late_bars": late} for late in range(100)])

    assert "76 more rows are left out" in capsys.readouterr().out

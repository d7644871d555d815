"""`helios check bias` on a round in the lake."""

import re

from tests.generated_round import make_research, sweep_round

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

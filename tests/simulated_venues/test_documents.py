"""What docs/simulated_venues.md says about faults is what the venues do."""

import re
import tomllib

from simulated_venues.faults import KINDS
from simulated_venues.scenario import scenario_of
from tests.helios_home import ROOT

TEXT = (ROOT / "docs" / "simulated_venues.md").read_text()
AT = {frozenset({"binance", "dydx"}): "both", frozenset({"binance"}): "Binance", frozenset({"dydx"}): "dYdX"}


def test_the_table_of_faults_is_that_of_the_code():
    block = re.search(r"<!-- faults -->\n(.*?)\n<!-- end -->", TEXT, re.DOTALL)
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in block[1].splitlines()[2:]]

    assert rows == [
        [f"`{kind}`", AT[about.venues], about.meaning, about.where, about.value] for kind, about in KINDS.items()
    ]


def test_the_scenario_that_is_shown_can_be_carried_out():
    (shown,) = re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)

    assert scenario_of(tomllib.loads(shown)["fault"], "shown").entries[0].fault.value == 429

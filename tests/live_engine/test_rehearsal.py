"""A rehearsed decision calls everything compiled that a decision calls."""

import subprocess
import sys

from live_engine.rehearsal import rehearse

FIRST_AND_SECOND = """
from live_engine.rehearsal import rehearse
from helios_pipeline.features import windows
from helios_pipeline.strategy import allocation, signal

def compiled():
    return {
        name: len(each.signatures)
        for module in (windows, allocation, signal)
        for name, each in vars(module).items()
        if hasattr(each, "signatures")
    }

rehearse()
once = compiled()
rehearse()
assert compiled() == once
print(*sorted(name for name, count in once.items() if count))
"""


def test_a_rehearsal_ends_in_an_entry_so_that_sizes_and_stop_are_made_too() -> None:
    decided = rehearse()

    assert decided.entries == (0,)
    assert decided.markets[0].outcome == "enter"
    assert decided.markets[0].entry_lots > 0


def test_a_rehearsal_loads_every_function_that_a_decision_calls() -> None:
    called = subprocess.run(
        [sys.executable, "-c", FIRST_AND_SECOND], capture_output=True, text=True, timeout=120, check=True
    ).stdout.split()

    needed = {"z_score", "floored_z_score", "volatility", "average_true_range"}
    assert set(called) >= needed | {"decide", "allocate", "stop_ticks"}

"""Whether the engine's memory stays flat while it trades.

    .venv/bin/python benchmarks/live_memory.py [--minutes 60] [--markets 3] [--account paper|dydx]

In the fast world an engine decides sixty times as often as on real venues, so an hour is 60 hours of decisions. Its
resident memory is read every ten seconds. It is flat if the median of the last quarter is within 5 % of the median of
the second quarter: the first one warms up. Ends with 1 if it is not.
"""

import argparse
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from helios_pipeline.core.trading import Decision, VenueFill
from tests.live_engine.harness import EAGER, Engine, fast_world, installation

EVERY_SECONDS = 10.0
SHOWN_EVERY = 30
GROWTH_LIMIT = 0.05
NETWORKS = {"paper": "paper", "dydx": "mainnet"}


def resident_mb(pid: int) -> float:
    """Resident memory of a process in MB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1_000
    return 0.0


def sample(engine: Engine, minutes: float) -> list[float]:
    """Resident memory in MB, every ten seconds."""
    found, began = [], time.monotonic()
    while (passed := time.monotonic() - began) < minutes * 60:
        assert engine.process.poll() is None, engine.tail()
        found.append(resident_mb(engine.pid))
        if len(found) % SHOWN_EVERY == 1:
            print(f"{passed / 60:5.1f} min  {found[-1]:.1f} MB", flush=True)
        time.sleep(EVERY_SECONDS)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--markets", type=int, default=3)
    parser.add_argument("--account", choices=tuple(NETWORKS), default="dydx")
    given = parser.parse_args()
    with ExitStack() as running:
        state = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="helios-memory-")))
        world = running.enter_context(fast_world(state, markets=given.markets))
        home = running.enter_context(installation(world, network=NETWORKS[given.account]))
        home.promote(EAGER)
        engine = home.engine()
        engine.await_trading()
        samples = sample(engine, given.minutes)
        engine.stop()
        decisions, fills = len(home.records(Decision)), len(home.records(VenueFill))
    quarter = max(1, len(samples) // 4)
    before, after = statistics.median(samples[quarter : 2 * quarter] or samples), statistics.median(samples[-quarter:])
    growth = after / before - 1
    print(
        f"{decisions} decisions, {fills} fills in {given.minutes:g} minutes. Resident: {before:.1f} MB in the second "
        f"quarter, {after:.1f} MB in the last: {growth:+.2%} (limit {GROWTH_LIMIT:.0%})"
    )
    return 1 if growth > GROWTH_LIMIT else 0


if __name__ == "__main__":
    sys.exit(main())

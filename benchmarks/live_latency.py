"""How long after a bar's close the engine's order is on the wire, beside a bare NautilusTrader node in the same run.

    .venv/bin/python benchmarks/live_latency.py [--minutes 15] [--folder /dev/shm]

Both hear the same simulated Binance and send to the same simulated dYdX, each through a meter that notes when a
transaction passes. A bar is closed by the first message past its end, which both hear at the same time, so the delay of
each is counted from the bar's end to its first transaction. The engine has features, a decision, a gate and a journal
in between, in which decision and order are on the disk before the order is sent. How long the disk takes for that is
measured in the same run, in the same folder. Ends with 1 if the engine's p99 is more than 5 ms behind the bare node's.
"""

import argparse
import os
import secrets
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.wire_meter import WireMeter
from helios_pipeline.core.trading import Decision, Intent
from tests.live_engine.harness import BAR_SECONDS, EAGER, FastWorld, fast_world, installation

BUDGET_MS = 5.0
AT_MOST_SECONDS = 2.0
"""A first transaction later than this after a bar's end is not its order, but a stop that follows a fill, say."""
TRADES_PER_DAY = 200_000
ENTRY_BYTES = 600
EVERY_BAR = replace(EAGER, entry_z=0.01, max_holding_bars=1, stop_atr=0.0)
"""Enters at one bar and leaves at the next."""


def first_of_each_bar(sent_at: list[float], since: float) -> dict[int, float]:
    """Bar → milliseconds from its end to the first transaction."""
    found: dict[int, float] = {}
    for instant in sorted(sent_at):
        bar, late = divmod(instant, BAR_SECONDS)
        if instant >= since and late <= AT_MOST_SECONDS:
            found.setdefault(int(bar), late * 1_000)
    return found


def metered(world: FastWorld) -> WireMeter:
    meter = WireMeter(world.addresses["HELIOS_DYDX_GRPC"])
    meter.start()
    return meter


def told(name: str, delays: list[float]) -> tuple[float, float]:
    p50, p99 = (float(np.percentile(delays, each)) for each in (50, 99))
    print(f"{name}: p50 {p50:.2f} ms, p99 {p99:.2f} ms of {len(delays)}")
    return p50, p99


class Disk:
    """How long the disk takes to make an entry durable, once a second."""

    def __init__(self, path: Path) -> None:
        self.delays: list[float] = []
        self._file = path.open("ab", buffering=0)
        threading.Thread(target=self._measure, daemon=True).start()

    def _measure(self) -> None:
        while True:
            self._file.write(bytes(ENTRY_BYTES))
            began = time.perf_counter()
            os.fdatasync(self._file.fileno())
            self.delays.append((time.perf_counter() - began) * 1_000)
            time.sleep(1.0)


def tell_stages(intents: list[Intent], decisions: list[Decision], sent_at: list[float]) -> None:
    """Where the engine's time goes: to the decision, to the durable intent, to the wire."""
    decided = {decision.closed_at: decision.decided_at.timestamp() for decision in decisions if not decision.late}
    stages: dict[str, list[float]] = {"bar's end to decision": [], "decision to intent": [], "intent to wire": []}
    for intent in intents:
        if intent.boundary not in decided or intent.purpose not in ("entry", "exit"):
            continue
        made, intended = decided[intent.boundary], intent.intended_at.timestamp()
        sent = min((each for each in sent_at if each >= intended), default=intended)
        delays = (made - intent.boundary.timestamp(), intended - made, sent - intended)
        for stage, seconds in zip(stages.values(), delays, strict=True):
            stage.append(seconds * 1_000)
    for name, delays in stages.items():
        if delays:
            print(f"engine, {name}: p50 {np.percentile(delays, 50):.2f} ms, p99 {np.percentile(delays, 99):.2f} ms")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--folder", help="Where the engine's home is made. Default: the system's temporary folder.")
    given = parser.parse_args()
    with ExitStack() as running:
        state = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="helios-latency-")))
        world = running.enter_context(fast_world(state, markets=1, trades_per_day=TRADES_PER_DAY))
        home = running.enter_context(installation(world, network="mainnet", parent=given.folder))
        home.promote(EVERY_BAR)
        disk = Disk(home.folder / "disk")
        ours, bare = metered(world), metered(world)
        engine = home.engine(HELIOS_DYDX_GRPC=ours.address)
        environment = {**os.environ, **world.addresses, "HELIOS_DYDX_GRPC": bare.address}
        environment["HELIOS_DYDX_KEY"] = secrets.token_hex(32)
        command = [sys.executable, "-m", "benchmarks.bare_node", str(BAR_SECONDS)]
        node = running.enter_context(subprocess.Popen(command, env=environment, cwd=Path(__file__).parents[1]))
        running.callback(node.kill)
        engine.await_trading()
        since = time.time()
        time.sleep(given.minutes * 60)
        assert node.poll() is None, "the bare node ended"
        engine.stop()
        tell_stages(home.records(Intent), home.records(Decision), ours.sent_at)
    told("the disk, for an entry", disk.delays)
    delays = [first_of_each_bar(meter.sent_at, since) for meter in (ours, bare)]
    if not all(delays):
        print("expected orders of both, found none of one")
        return 1
    _, engine_p99 = told("engine, from the bar's end to the wire", list(delays[0].values()))
    _, bare_p99 = told("bare node, from the bar's end to the wire", list(delays[1].values()))
    both = sorted(delays[0].keys() & delays[1].keys())
    behind = [delays[0][bar] - delays[1][bar] for bar in both]
    if behind:
        p50, p99 = (np.percentile(behind, each) for each in (50, 99))
        print(f"of {len(behind)} bars in which both sent: engine behind by p50 {p50:.2f} ms, p99 {p99:.2f} ms")
    print(f"p99 is {engine_p99 - bare_p99:+.2f} ms beside the bare node's (budget {BUDGET_MS:g} ms)")
    return 1 if engine_p99 - bare_p99 > BUDGET_MS else 0


if __name__ == "__main__":
    sys.exit(main())

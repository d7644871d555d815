"""Whether everything that tells of an account says the same after minutes of trading, to the last quantum.

    .venv/bin/python benchmarks/live_soak.py [--minutes 10] [--markets 3] [--accounts paper,dydx]

In the fast world, engines trade a paper account and one at the simulated dYdX at the same time. Afterwards journal,
venue and PostgreSQL are compared fill by fill, order by order, payment by payment; the comparisons that the engine made
of journal, NautilusTrader and venue while it ran are counted; each decision's features are made again from the market
itself, and the decisions are made again by a backtest over the recorded period. Ends with 1 if anything differs.
"""

import argparse
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from helios_pipeline.core.trading import Decision, FundingPayment, Intent, Reconciliation, VenueFill
from tests.live_engine.agreement import Told, await_agreement
from tests.live_engine.harness import FEATURES, STEADY, FastWorld, fast_market, fast_world, installation
from tests.live_engine.recomputed import decision_differences, feature_differences

NETWORKS = {"paper": "paper", "dydx": "mainnet"}
LOOK_EVERY_SECONDS = 1.0


@dataclass
class Account:
    """One account's run, and what was found wrong with it."""

    name: str
    found: list[str] = field(default_factory=list)
    summary: list[str] = field(default_factory=list)


def trade(account: Account, world: FastWorld, minutes: float, markets: int) -> None:
    """Let an engine trade for some minutes, then compare; an error is a difference too."""
    try:
        with installation(world, network=NETWORKS[account.name]) as home:
            signed = home.promote(STEADY)
            engine = home.engine()
            engine.await_trading()
            until = time.monotonic() + minutes * 60
            while time.monotonic() < until:
                engine.status()
                time.sleep(LOOK_EVERY_SECONDS)
            account.found += await_agreement(home)
            engine.stop()
            told = Told(records=tuple(home.journal()))
            decided = decision_differences(told.records, world, signed)
            account.found += decided
            account.summary.append(
                f"{len(told.of(Decision))} decisions made again, on what was recorded and on what the fills give: "
                f"{len(decided) or 'none'} differ"
            )
            judge(account, told, markets)
    except Exception as error:  # noqa: BLE001 - the other account goes on, and the summary says it
        account.found.append(f"{type(error).__name__}: {error}")


def judge(account: Account, told: Told, markets: int) -> None:
    decisions, compared = told.of(Decision), told.of(Reconciliation)
    features = feature_differences(decisions, fast_market(markets=markets), FEATURES, STEADY.lookback_bars)
    account.found += features
    account.found += [f"journal, node and venue differed: {each.differences}" for each in compared if not each.agreed]
    if not told.of(VenueFill):
        account.found.append("expected fills, found none")
    outcomes = {
        outcome: sum(each.outcome == outcome for each in decisions) for outcome in {d.outcome for d in decisions}
    }
    account.summary += [
        f"{len(decisions)} decisions, {len(decisions) - len(features)} with the features that the market gives",
        "outcomes: " + ", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items())),
        f"{len(told.of(Intent))} orders, {len(told.of(VenueFill))} fills, {len(told.of(FundingPayment))} payments",
        f"{len(compared)} comparisons of journal, node and venue, {sum(each.agreed for each in compared)} agreed",
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--markets", type=int, default=3)
    parser.add_argument("--accounts", default="paper,dydx")
    given = parser.parse_args()
    accounts = [Account(name) for name in given.accounts.split(",")]
    with ExitStack() as running:
        state = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="helios-soak-")))
        world = running.enter_context(fast_world(state, markets=given.markets))
        threads = [
            threading.Thread(target=trade, args=(each, world, given.minutes, given.markets)) for each in accounts
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for account in accounts:
        for line in (*account.found[:20], *account.summary):
            print(f"{account.name}: {line}")
    wrong = sum(len(account.found) for account in accounts)
    print(f"{len(accounts)} accounts of {given.markets} markets for {given.minutes:g} minutes, {wrong} differences")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

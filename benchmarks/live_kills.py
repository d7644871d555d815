"""What kills at random moments do to the engine's account: nothing lost, nothing doubled, nothing left unknown.

    .venv/bin/python benchmarks/live_kills.py [--kills 100] [--markets 3] [--seed 1] [--accounts paper,dydx]

In the fast world, engines trade a paper account and one at the simulated dYdX at the same time, at almost every bar.
Each is killed at random moments, as by `kill -9`: in its start, while it trades, and above all in the second after a
bar's close, in which orders are under way; and started again. In the end, and in between, journal, venue and PostgreSQL
are compared to the last quantum. Ends with 1 if anything differs.
"""

import argparse
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from helios_pipeline.core.trading import FundingPayment, Intent, OrderEvent, VenueFill
from helios_pipeline.execution.orders import Orders
from tests.live_engine.agreement import Told, await_agreement, broken_rules
from tests.live_engine.harness import BAR_SECONDS, EAGER, Engine, FastWorld, Installation, fast_world, installation

NETWORKS = {"paper": "paper", "dydx": "mainnet"}
CHECK_EVERY = 10
START_SHARE = 0.3
"""Of the kills hit an engine that is still starting."""
START_SECONDS = 8.0
CLOSE_SHARE, ORDERS_SECONDS = 0.6, 0.8
"""Of the kills of an engine that trades, so many hit it while orders are under way: so long after a bar's close."""


@dataclass
class Account:
    """One account's lives and what was found wrong with them."""

    name: str
    kills: int
    dice: random.Random
    done: int = 0
    phases: Counter[str] = field(default_factory=Counter)
    found: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)


def live_and_die(engine: Engine, dice: random.Random) -> str:
    """Let an engine live for a random while, and kill it; in which phase it died."""
    if dice.random() < START_SHARE:
        time.sleep(dice.uniform(0.0, START_SECONDS))
    else:
        engine.await_trading()
        if dice.random() < CLOSE_SHARE:
            time.sleep(-time.time() % BAR_SECONDS + dice.uniform(0.0, ORDERS_SECONDS))
        else:
            time.sleep(dice.uniform(0.0, BAR_SECONDS))
    told = engine.status()
    engine.kill()
    if told is None:
        return "before the first heartbeat"
    return "while entries were blocked" if told.blocked else "while ready to trade"


def in_flight(told: Told) -> int:
    """Orders that may still fill, protective stops left out."""
    orders = Orders()
    for record in told.records:
        match record:
            case Intent() if record.purpose != "stop":
                orders.intend(record)
            case OrderEvent():
                orders.tell(record)
            case VenueFill() if record.client_order_id is not None:
                orders.fill(record.client_order_id, record)
    return sum(line.intent is not None for line in orders.live(None))


def kill_again_and_again(account: Account, home: Installation) -> None:
    while account.done < account.kills and not account.found:
        account.phases[live_and_die(home.engine(), account.dice)] += 1
        account.done += 1
        told = Told(records=tuple(home.journal()))
        account.phases["with an order in flight"] += in_flight(told) > 0
        account.found += broken_rules(told)
        if account.done % CHECK_EVERY == 0 or account.done == account.kills:
            engine = home.engine()
            engine.await_trading()
            account.found += await_agreement(home)
            engine.stop()
            print(
                f"{account.name}: {account.done} of {account.kills} kills, {len(account.found)} differences", flush=True
            )
    told = Told(records=tuple(home.journal()))
    account.counts = {
        "orders": len(told.of(Intent)),
        "fills": len(told.of(VenueFill)),
        "funding payments": len(told.of(FundingPayment)),
        "records": len(told.records),
    }


def run(account: Account, world: FastWorld) -> None:
    """Every life of one account; an error is a difference too."""
    try:
        with installation(world, network=NETWORKS[account.name]) as home:
            home.promote(EAGER)
            kill_again_and_again(account, home)
    except Exception as error:  # noqa: BLE001 - the other account goes on, and the summary says it
        account.found.append(f"{type(error).__name__}: {error}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--markets", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--accounts", default="paper,dydx")
    given = parser.parse_args()
    names = given.accounts.split(",")
    shares = [given.kills // len(names) + (place < given.kills % len(names)) for place in range(len(names))]
    accounts = [
        Account(name, share, random.Random(f"{given.seed} {name}")) for name, share in zip(names, shares, strict=True)
    ]
    began = time.monotonic()
    with ExitStack() as ending:
        state = Path(ending.enter_context(tempfile.TemporaryDirectory(prefix="helios-kills-")))
        world = ending.enter_context(fast_world(state, markets=given.markets))
        threads = [threading.Thread(target=run, args=(account, world)) for account in accounts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for account in accounts:
        for line in account.found[:20]:
            print(f"{account.name}: {line}")
        print(
            f"{account.name}: {account.done} kills: " + ", ".join(f"{n} {phase}" for phase, n in account.phases.items())
        )
        print(f"{account.name}: " + ", ".join(f"{n} {what}" for what, n in account.counts.items()))
    wrong = sum(len(account.found) for account in accounts)
    done = sum(account.done for account in accounts)
    print(f"{done} kills in {(time.monotonic() - began) / 60:.1f} minutes, {wrong} differences")
    return 1 if wrong or done < given.kills else 0


if __name__ == "__main__":
    sys.exit(main())

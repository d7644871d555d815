"""An engine that trades and is killed in the midst of it, as a process: `…first_life CASE LOG`.

It enters, lets a stop rest, is refused an order, and dies by SIGKILL between an intent that is durable and its order.
What it saw is in `seen.json` beside the case.
"""

import asyncio
import json
import os
import signal
import sys
from decimal import Decimal
from pathlib import Path

from helios_pipeline.core.trading import Intent, JournalRecord
from live_engine.journal import Journal
from tests.live_engine.venue_contract.case import VenueCase
from tests.live_engine.venue_contract.engine import Engine, in_own_loop, running


class Mortal:
    """The journal, until it is armed: then the process dies as soon as the next intent is durable."""

    def __init__(self, journal: Journal) -> None:
        self.journal, self.is_armed = journal, False

    def append(self, record: JournalRecord) -> int | None:
        number = self.journal.append(record)
        if self.is_armed and isinstance(record, Intent):
            os.kill(os.getpid(), signal.SIGKILL)
        return number


async def trade(engine: Engine) -> dict[str, object]:
    """What is done before the end, and what was seen."""
    trader, books, quantity = engine.trader, engine.journal.books, Decimal(engine.case.quantity)
    entry = trader.market(+1, quantity)
    await engine.until(lambda: "OrderFilled" in trader.of(entry) and engine.quantity() == quantity, "an entry fills")
    stop = trader.protect(-1, quantity, trader.mark * Decimal("0.8"))
    await engine.until(lambda: "OrderAccepted" in trader.of(stop), "a stop is accepted")
    refused = trader.market(+1, quantity, reduce_only=True)
    await engine.until(lambda: engine.has_ended(refused), "a reduce-only order that would add is refused")
    found = await engine.read()
    account = engine.node.cache.account_for_venue(trader.iid.venue)
    return {
        "account": account.id.value,
        "currencies": [balance.currency.code for balance in account.balances().values()],
        "entry": entry,
        "stop": stop,
        "refused": refused,
        "events": {name: trader.of(name) for name in (entry, stop, refused)},
        "untold": [str(told.event) for told in trader.told if not told.journalled],
        "reason": books.orders[refused].reason,
        "refused_filled": str(books.orders[refused].filled),
        "resting": [
            [o.venue_client_id, str(o.quantity), str(o.trigger_price), o.reduce_only] for o in found.open_orders
        ],
        "mark": str(trader.mark),
    }


async def live(loop, case: VenueCase, folder: Path, seen: Path) -> None:
    mortal: list[Mortal] = []

    def wrap(journal: Journal) -> Mortal:
        mortal.append(Mortal(journal))
        return mortal[0]

    async with running(case, folder, loop, wrap) as engine:
        seen.write_text(json.dumps(await trade(engine)))
        mortal[0].is_armed = True
        engine.trader.market(+1, Decimal(case.quantity))
        await asyncio.sleep(30)
        raise AssertionError("it should have been killed")


def main() -> None:
    path, folder = Path(sys.argv[1]), Path(sys.argv[2])
    in_own_loop(lambda loop: live(loop, VenueCase.read(path), folder, path.parent / "seen.json"))


if __name__ == "__main__":
    main()

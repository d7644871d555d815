"""Commands reach a running engine through its socket, and flattening leaves nothing."""

import asyncio
import json
import socket
from datetime import timedelta
from decimal import Decimal
from types import SimpleNamespace

import pytest
from nautilus_trader.model.enums import OrderSide
from nautilus_trader.model.identifiers import ClientOrderId
from nautilus_trader.model.objects import Price, Quantity

from helios_pipeline.core.errors import DatabaseError, EngineError
from helios_pipeline.execution.reconciliation import ComparisonRules
from live_engine import flatten
from live_engine.commands import EngineCommands
from live_engine.control import SOCKET_FILE, ControlRequest, ControlServer, HungEngineError, ask_engine
from live_engine.flatten import Flattener
from live_engine.kill_switch import KillSwitch
from live_engine.mode_file import MODE_FILE
from live_engine.nautilus_account import NautilusAccount
from live_engine.reconciler import Reconciler, ReconcilerTerms
from tests.live_engine.local_venue import ACCOUNT, IID, PlaceReader, run_in_node

TERMS = ReconcilerTerms(
    rules=ComparisonRules(settle=timedelta(0), unlisted=timedelta(0), settle_blocks=0, quote_rounding=Decimal(0)),
    every_seconds=60.0,
    confirm_seconds=0.02,
    trusted_seconds=60.0,
)


def request(command="status", why="drill"):
    return ControlRequest(command=command, who="ops", why=why)


def served(folder, handler, ask):
    """Serve a handler while a blocking function asks; what that returned."""

    async def run():
        server = ControlServer(folder, handler)
        await server.start()
        try:
            return await asyncio.to_thread(ask)
        finally:
            await server.stop()

    return asyncio.run(run())


async def echo(asked, say):
    say(f"{asked.command} by {asked.who}")
    await asyncio.sleep(0)
    say(asked.why)
    return {"mode": "ACTIVE"}


@pytest.fixture(params=["short", "long"])
def folder(request, tmp_path):
    made = tmp_path / ("x" * 120 if request.param == "long" else "x")
    made.mkdir()
    return made


def test_a_request_is_answered_with_lines_on_the_way_however_long_the_path(folder):
    said = []

    answer = served(folder, echo, lambda: ask_engine(folder, request(why="a=b\n'\"é"), said.append, 5.0))

    assert answer == {"mode": "ACTIVE"}
    assert said == ["status by ops", "a=b\n'\"é"]
    assert not (folder / SOCKET_FILE).exists()


def test_nobody_else_may_open_the_socket_and_a_dead_engines_is_replaced(folder):
    (folder / SOCKET_FILE).write_text("left behind")

    mode = served(folder, echo, lambda: (folder / SOCKET_FILE).stat().st_mode & 0o777)

    assert mode == 0o600


def test_without_an_engine_there_is_no_answer(tmp_path):
    assert ask_engine(tmp_path, request(), print, 1.0) is None

    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(tmp_path / SOCKET_FILE))
    dead.close()
    assert ask_engine(tmp_path, request(), print, 1.0) is None


def test_an_engine_that_hangs_is_told_apart_from_a_dead_one(tmp_path):
    async def hang(asked, say):
        await asyncio.sleep(1.0)
        return {}

    def ask():
        with pytest.raises(HungEngineError, match="It hangs"):
            ask_engine(tmp_path, request(), print, 0.1)

    served(tmp_path, hang, ask)


def test_what_the_engine_refuses_is_said(tmp_path):
    async def refuse(asked, say):
        raise DatabaseError("PostgreSQL is away.")

    def ask():
        with pytest.raises(EngineError, match="PostgreSQL is away"):
            ask_engine(tmp_path, request(), print, 5.0)

    served(tmp_path, refuse, ask)


@pytest.mark.parametrize("line", [b"\n", b"{}\n", b"[1]\n", b'{"command": "sell"}\n', b"\xff\n", b""])
def test_a_line_that_is_no_request_is_refused(tmp_path, line):
    async def never(asked, say):
        raise AssertionError("it was carried out")

    def ask():
        with socket.socket(socket.AF_UNIX) as asking:
            asking.connect(str(tmp_path / SOCKET_FILE))
            asking.sendall(line)
            asking.shutdown(socket.SHUT_WR)
            return json.loads(asking.makefile().readline())

    assert served(tmp_path, never, ask)["exit_code"] == 2


def test_what_was_asked_for_is_carried_out_though_the_asker_went_away(tmp_path):
    async def run():
        going, gone = asyncio.Event(), asyncio.Event()

        async def slow(asked, say):
            await going.wait()
            for _ in range(100):
                say("x" * 10_000)
                await asyncio.sleep(0)
            carried_out.append(asked)
            gone.set()
            return {}

        server = ControlServer(tmp_path, slow)
        await server.start()
        _, writer = await asyncio.open_unix_connection(str(tmp_path / SOCKET_FILE))
        writer.write(b'{"command": "flatten"}\n')
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        going.set()
        await asyncio.wait_for(gone.wait(), 5.0)
        await server.stop()

    carried_out = []
    asyncio.run(run())
    assert len(carried_out) == 1


class Store:
    row = None

    def read(self, account):
        return self.row

    def write(self, change):
        self.row = change


def engine_of(local, store=None):
    """The commands of a node, with its gate under the kill switch."""
    switch = KillSwitch.load(local.journal.folder.parent, ACCOUNT, store or Store())
    switch.watch(lambda change: local.state.update(mode=change))
    nautilus = NautilusAccount(local.node, ACCOUNT)
    reconciler = Reconciler(local.journal, nautilus, PlaceReader(local.place), TERMS, lambda line: None)
    flattener = Flattener(local.node, local.trader, local.journal, switch, reconciler)
    return EngineCommands(switch, flattener, lambda: SimpleNamespace()), switch, flattener


def test_flattening_closes_cancels_asks_the_venue_and_stays_halted(tmp_path):
    said = []

    async def scenario(local):
        await local.enter()
        stop = local.trader.order_factory.stop_market(
            IID,
            OrderSide.SELL,
            Quantity.from_str("0.1000"),
            trigger_price=Price(58_000, 0),
            reduce_only=True,
            client_order_id=ClientOrderId("5"),
            tags=["purpose=stop"],
        )
        local.trader.submit_order(stop)
        await local.until(lambda: stop.is_open)
        local.agreed.differences = ("nothing agrees",)
        commands, switch, _ = engine_of(local)

        answer = await commands.handle(request("flatten"), said.append)

        assert answer == {"mode": "HALTED", "who": "ops", "why": "drill", "told_store": True, "flat": True}
        assert switch.flatten_request is None
        local.trader.submit_order(local.trader.market(9, OrderSide.BUY, "0.1000", tags=["purpose=entry"]))
        await local.until(lambda: "9" in local.trader.denied)

    local = run_in_node(tmp_path / "log", scenario)

    assert local.journal.books.positions == {}
    assert local.journal.books.open_orders() == ()
    closing = local.journal.books.intents[-1]
    assert (closing.purpose, closing.reason, closing.reduce_only, closing.side) == ("flatten", "drill", True, -1)
    assert said[0].startswith("HALTED")
    assert said[-1].startswith("Flat")


def test_flattening_tries_again_when_a_closing_order_does_not_fill(tmp_path):
    said = []

    async def scenario(local):
        await local.enter()
        local.place.refuse_fills = 1
        _, _, flattener = engine_of(local)
        assert await flattener.flatten("ops", "drill", said.append)

    local = run_in_node(tmp_path / "log", scenario)

    assert local.journal.books.positions == {}
    assert "round 1 of 10: +0.1 BTC-USD-PERP.DYDX and 0 orders are left" in said


def test_a_flattening_that_dies_is_still_requested(tmp_path):
    async def scenario(local):
        await local.enter()
        local.place.silent = True
        commands, _, flattener = engine_of(local)
        running = asyncio.create_task(commands.handle(request("flatten"), print))
        await local.until(lambda: len(local.place.submitted) == 2)
        assert flattener.busy
        with pytest.raises(EngineError, match="under way"):
            await commands.handle(request("resume"), print)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    run_in_node(tmp_path / "log", scenario)

    left = KillSwitch.load(tmp_path, ACCOUNT, None)
    assert left.mode == "HALTED"
    assert left.flatten_request.why == "drill"


def test_a_flattening_that_left_something_is_paged_and_tried_again(tmp_path, monkeypatch):
    monkeypatch.setattr(flatten, "ROUNDS", 1)
    monkeypatch.setattr(flatten, "AGAIN_SECONDS", 0.0)
    said, pages = [], []

    async def scenario(local):
        await local.enter()
        local.place.refuse_fills = 1
        _, switch, flattener = engine_of(local)
        await flattener.when_asked(said.append, pages.append)
        assert said == pages == []

        switch.request_flatten("ops", "drill")
        await flattener.when_asked(said.append, pages.append)
        assert said[-1].startswith("NOT flat")
        assert len(pages) == 1
        assert switch.flatten_request is not None

        await flattener.when_asked(said.append, pages.append)
        assert said[-1].startswith("Flat")
        assert len(pages) == 1
        assert switch.flatten_request is None

    run_in_node(tmp_path / "log", scenario)


def test_a_flattening_that_fails_is_paged_and_tried_again(tmp_path, monkeypatch):
    monkeypatch.setattr(flatten, "AGAIN_SECONDS", 0.0)
    pages = []

    async def scenario(local):
        _, switch, flattener = engine_of(local)
        switch.request_flatten("ops", "drill")
        file = tmp_path / MODE_FILE
        file.unlink()
        (file / "in the way").mkdir(parents=True)
        for _ in range(2):
            await flattener.when_asked(print, pages.append)
        assert switch.flatten_request is not None

    run_in_node(tmp_path / "log", scenario)

    assert [each.partition(":")[0] for each in pages] == ["flattening was requested and failed; it is tried again"] * 2


def test_no_flattening_begins_while_another_is_under_way_or_one_is_withdrawn(tmp_path):
    said = []

    async def scenario(local):
        await local.enter()
        _, switch, flattener = engine_of(local)
        switch.request_flatten("ops", "drill")
        async with flattener.kept_off():
            await flattener.when_asked(said.append, said.append)

    run_in_node(tmp_path / "log", scenario)

    assert said == []


def test_modes_are_set_by_command_and_resume_withdraws_a_flattening(tmp_path):
    async def scenario(local):
        commands, switch, _ = engine_of(local)
        for command, mode in (("reduce", "REDUCING"), ("halt", "HALTED")):
            assert (await commands.handle(request(command), print))["mode"] == mode
        switch.request_flatten("ops", "drill")
        assert (await commands.handle(request("resume", "all clear"), print))["mode"] == "ACTIVE"
        assert switch.flatten_request is None

    run_in_node(tmp_path / "log", scenario)

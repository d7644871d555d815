"""Who sees to it that there is an engine, and the loop that looks at it."""

import asyncio
import json
import signal
from contextlib import suppress
from typing import Protocol, TextIO

from live_engine.alert_desk import AlertDesk
from live_engine.engine_starter import EngineStarter
from live_engine.engine_watch import EngineWatch
from live_engine.supervision import Supervision
from live_engine.watchdog import EngineView, Limits, judge_engine


class Keeper(Protocol):
    """Has engines started, or knows that somebody else does."""

    def look(self, view: EngineView) -> bool:
        """Do what is due; whether that was the last thing."""

    async def listen(self) -> None:
        """Hear what becomes of engines; returns when there is nothing more to do."""


class SystemdKeeper:
    """Leaves it to systemd, and tells when it has done so."""

    def __init__(self, desk: AlertDesk) -> None:
        self._desk = desk

    def look(self, view: EngineView) -> bool:
        """Tell of an engine that has taken the place of another."""
        self._desk.see_epoch(view)
        return False

    async def listen(self) -> None:
        """Nobody says anything."""
        await asyncio.Event().wait()


class LauncherKeeper:
    """Decides for `helios live`, which starts engines and says what became of them."""

    def __init__(self, supervision: Supervision, heard: TextIO) -> None:
        self._supervision, self._heard = supervision, heard

    def look(self, view: EngineView) -> bool:
        """Ask for what is due; the last thing is to give up."""
        return self._supervision.act(view)

    async def listen(self) -> None:
        """Hear what becomes of engines, until we are told to stop or nobody is there any more."""
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, self._heard)
        while line := await reader.readline():
            said = json.loads(line)
            if said.get("stop"):
                return
            self._supervision.hear(said)
        self._supervision.left_alone()


class OwnKeeper:
    """Starts engines itself, and goes on to look when it has given up: a person may start another."""

    def __init__(self, supervision: Supervision, starter: EngineStarter) -> None:
        self._supervision, self._starter = supervision, starter
        starter.hear = supervision.hear

    def look(self, view: EngineView) -> bool:
        """See what became of the engine, then do what is due."""
        self._starter.look()
        self._supervision.act(view)
        return False

    async def listen(self) -> None:
        """Nobody says anything."""
        await asyncio.Event().wait()


async def look_until_told(
    desk: AlertDesk, watch: EngineWatch, limits: Limits, keeper: Keeper, every_seconds: float
) -> None:
    """Look at an engine again and again, until SIGTERM or SIGINT, or until the keeper has nothing more to do."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    heard = asyncio.ensure_future(keeper.listen())
    heard.add_done_callback(lambda _: stop.set())
    while not stop.is_set():
        view = watch.look()
        if keeper.look(view):
            stop.set()
        desk.see(judge_engine(view, limits))
        desk.see_pages(view)
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), every_seconds)
    if heard.done():
        heard.result()
    heard.cancel()

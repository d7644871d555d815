"""What a running engine does when it is told something at its control socket."""

import asyncio
from collections.abc import Callable

from helios_pipeline.core.canonical import to_document
from helios_pipeline.core.errors import EngineError
from helios_pipeline.core.status import EngineStatus
from helios_pipeline.core.trading import Mode, ModeChange
from live_engine.control import Answer, Command, ControlRequest, Say
from live_engine.flatten import Flattener
from live_engine.kill_switch import KillSwitch

MODES: dict[Command, Mode] = {"halt": "HALTED", "reduce": "REDUCING", "resume": "ACTIVE"}


class EngineCommands:
    """Carries out requests of the control socket.

    Args:
        kill_switch: of the account.
        flattener: cancels and closes everything.
        status: what the engine says of itself.
    """

    def __init__(self, kill_switch: KillSwitch, flattener: Flattener, status: Callable[[], EngineStatus]) -> None:
        self._kill_switch = kill_switch
        self._flattener = flattener
        self._status = status

    async def handle(self, request: ControlRequest, say: Say) -> Answer:
        """Carry out a request; its answer holds the mode in force, and what else the command tells.

        Raises:
            HeliosError: it can't be done: PostgreSQL is away and has to know, a file can't be written.
        """
        match request.command:
            case "flatten":
                flat = await self._flattener.flatten(request.who, request.why, say)
                return self._answer(self._kill_switch.state) | {"flat": flat}
            case "status":
                return self._answer(self._kill_switch.state) | {"status": to_document(self._status())}
            case "resume" if self._flattener.busy:
                raise EngineError("expected to resume, found flattening under way. Wait for its end, then resume.")
            case "resume":
                async with self._flattener.kept_off():
                    change = await self._set_mode(request)
                    if change.mode == "ACTIVE":
                        self._kill_switch.flattened()
                return self._answer(change)
            case _:
                return self._answer(await self._set_mode(request))

    async def _set_mode(self, request: ControlRequest) -> ModeChange:
        return await asyncio.to_thread(self._kill_switch.set, MODES[request.command], request.who, request.why)

    def _answer(self, change: ModeChange) -> dict[str, object]:
        return {"mode": change.mode, "who": change.who, "why": change.why, "told_store": self._kill_switch.told_store}

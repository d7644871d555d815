"""What runs in the simulated venues, on the terminal, second by second."""

import os
import select
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from rich.live import Live
from rich.table import Table

from helios_pipeline.cli.terminal import out, table
from helios_pipeline.core.errors import SimulationError
from simulated_venues.process import VenueProcess
from simulated_venues.remote import RemoteVenue

EVERY_MS = 1_000


def watch(processes: Sequence[VenueProcess]) -> None:
    """Show what goes on until one of the venues ends or a person interrupts; a file or a pipe gets nothing.

    Raises:
        SimulationError: a venue ended; carries what it said.
    """
    rates = {process.name: Rate() for process in processes}
    with ExitStack() as opened:
        ends = select.poll()
        for process in processes:
            descriptor = os.pidfd_open(process.pid)
            opened.callback(os.close, descriptor)
            ends.register(descriptor, select.POLLIN)
        live = opened.enter_context(Live(console=out, auto_refresh=False)) if out.is_terminal else None
        while not ends.poll(None if live is None else EVERY_MS):
            if live is not None:
                live.update(view(processes, rates), refresh=True)
    for process in processes:
        if process.returncode is not None:
            process.stop()  # says why it ended


@dataclass(slots=True)
class Rate:
    """Messages a second, between one look and the next."""

    looked_at: float = field(default_factory=monotonic)
    sent: dict[int, int] = field(default_factory=dict)

    def of(self, clients: Sequence[dict[str, Any]]) -> float:
        """Messages that went to clients since the last call, by second."""
        now = monotonic()
        sent = {int(client["number"]): int(client["sent"]) for client in clients}
        new = sum(count - self.sent.get(number, 0) for number, count in sent.items())
        passed, self.looked_at, self.sent = now - self.looked_at, now, sent
        return new / max(passed, 1e-3)


def view(processes: Sequence[VenueProcess], rates: dict[str, Rate]) -> Table:
    """One line a venue."""
    shown = table("", "venue", "time, UTC", "clients", "messages/s", "height", "faults")
    for process in processes:
        try:
            state = RemoteVenue(process.url).state()
        except SimulationError:
            # It may be restarting, as a fault asks of it.
            shown.add_row(process.name, "does not answer", "", "", "", "")
            continue
        clients = state.get("clients", [])
        active = ", ".join(fault["kind"] for fault in state.get("faults", [])) or "none"
        rate = f"{rates[process.name].of(clients):,.0f}"
        height = f"{state['height']:,}" if "height" in state else ""
        shown.add_row(process.name, _time_of(state["now_ms"]), str(len(clients)), rate, height, active)
    return shown


def _time_of(milliseconds: int) -> str:
    seconds = milliseconds // 1_000 % 86_400
    return f"{seconds // 3_600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"

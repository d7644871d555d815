"""Flattening without an engine: at the venue itself, with the key from the environment."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape

from helios_pipeline.cli.live_account import halted_by_file, kill_switch, show, show_mode
from helios_pipeline.cli.terminal import err
from helios_pipeline.core.errors import EngineError, JournalError, SettingsError
from helios_pipeline.settings import Settings
from live_engine.control import ControlRequest
from live_engine.home_lock import HomeLock, home_holder

if TYPE_CHECKING:
    from helios_pipeline.core.venues import RecordSink


def flatten_without_engine(settings: Settings, folder: Path, request: ControlRequest) -> None:
    """Halt an account, and flatten it at its venue, where it has one.

    Raises:
        EngineError: it is not flat, or an engine holds it that does not answer; on paper also if it can't be written.
        SettingsError: the environment has no key of this account.
    """
    switch = kill_switch(folder)
    on_paper, holder = folder.name.endswith("-paper"), home_holder(folder)
    try:
        show_mode(switch.request_flatten(request.who, request.why))
    except EngineError as error:
        if on_paper or holder is not None:
            raise
        # A full disk is no reason to stay in the market.
        err.print(f"[yellow]{escape(str(error))}[/] It is flattened all the same.", highlight=False)
    if holder is not None:
        raise EngineError(
            f"{folder.name}: expected an engine that answers or none, found {holder}. {halted_by_file(folder)}"
        )
    if on_paper:
        show(f"No engine runs, and {folder.name} has no other venue: the engine that starts next flattens it first.")
        return
    lock = HomeLock.take(folder)  # no engine may start meanwhile
    try:
        flat = _flatten_at_venue(settings, folder)
    finally:
        lock.close()
    if not flat:
        raise EngineError(f"{folder.name}: expected it to be flat, found it is not; see above. Repeat the command.")
    switch.flattened()


def _flatten_at_venue(settings: Settings, folder: Path) -> bool:
    from helios_pipeline.adapters.dydx.addresses import DydxAddresses
    from helios_pipeline.adapters.dydx.flatten import flatten_account
    from helios_pipeline.adapters.dydx.key import DydxKey

    venues = settings.live_venues
    addresses = DydxAddresses(
        http=venues.dydx_http,
        ws=venues.dydx_ws,
        grpc=venues.dydx_grpc,
        grpc_tls=venues.dydx_grpc_tls,
        chain_id=venues.dydx_chain_id,
        subaccount=venues.dydx_subaccount,
    )
    key = DydxKey.load(os.environ)
    if addresses.account(key.address) != folder.name:
        raise SettingsError(
            f"{folder.name}: expected the key of this account in the environment, found that of "
            f"{addresses.account(key.address)}."
        )
    with _journal(folder) as sink:
        return bool(flatten_account(addresses, key, show, sink=sink).flat)


@contextmanager
def _journal(folder: Path) -> "Iterator[RecordSink | None]":
    """The account's journal; None, and said, where it can't be written: to be flat is worth more than to record it."""
    from live_engine.journal import Journal

    try:
        journal = Journal.open(folder / "log", folder.name)
    except JournalError as error:
        err.print(f"[yellow]{escape(str(error))}[/] The engine takes the fills in when it starts.", highlight=False)
        yield None
        return
    try:
        yield journal
    finally:
        journal.close()

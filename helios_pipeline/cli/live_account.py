"""An engine's account as commands see it: its folder, its kill switch's file, and how both are shown."""

from decimal import Decimal
from pathlib import Path

from rich.markup import escape

from helios_pipeline.cli.terminal import out, table
from helios_pipeline.core.errors import EngineError, SettingsError
from helios_pipeline.core.status import EngineStatus
from helios_pipeline.core.trading import Mode, ModeChange
from helios_pipeline.settings import Settings
from live_engine.control import Answer
from live_engine.heartbeat import HEARTBEAT, read_heartbeat
from live_engine.home_lock import home_holder
from live_engine.kill_switch import KillSwitch

COLOURS: dict[Mode, str] = {"ACTIVE": "green", "REDUCING": "yellow", "HALTED": "bold red"}


def account_folder(settings: Settings, account: str | None) -> Path:
    """Folder of an account; without a name the one that the settings trade.

    Raises:
        SettingsError: no such folder, or several accounts may be meant.
    """
    live = settings.home / "live"
    if account is not None:
        # By name: an empty one, or a path, would be a folder of no account, and nobody would hear of it.
        known = sorted(each.name for each in live.glob("*/"))
        if account not in known:
            names = ", ".join(known) or "none"
            raise SettingsError(f"--account {account!r}: expected the name of a folder in {live}, found {names}.")
        return live / account
    venue = settings.live.venue
    if settings.live.network == "paper":
        return live / f"{venue}-paper"
    found = sorted(each for each in live.glob(f"{venue}-*/") if not each.name.endswith("-paper"))
    if len(found) != 1:
        names = ", ".join(each.name for each in found) or "none"
        raise SettingsError(f"account: expected one of {venue} in {live}, found {names}. Name it with --account.")
    return found[0]


def kill_switch(folder: Path) -> KillSwitch:
    """The kill switch's file alone."""
    return KillSwitch(folder, folder.name, None)


def halted_by_file(folder: Path) -> str:
    """What to do about an engine that does not answer, after its file was halted."""
    holder = home_holder(folder) or "none any more"
    return f"The file says HALTED, which it sees if it sends anything. End it (holder: {holder}), then repeat."


def show(line: str) -> None:
    """Print a line as it is."""
    out.print(line, highlight=False, markup=False, soft_wrap=True)


def show_mode(change: ModeChange) -> None:
    """Print a mode, who set it and why."""
    show_words(change.account, change.mode, change.who, change.why)


def show_words(account: str, mode: Mode, who: str, why: str) -> None:
    """Print a mode in the words of whoever set it."""
    words = f"{account}: [{COLOURS[mode]}]{mode}[/] by {escape(who)}: {escape(why)}"
    out.print(words, highlight=False, soft_wrap=True)


def show_answer(folder: Path, answer: Answer) -> None:
    """Print the mode that an engine answers with, and whether PostgreSQL has it."""
    mode = next(each for each in COLOURS if each == answer["mode"])
    show_words(folder.name, mode, str(answer["who"]), str(answer["why"]))
    if answer["told_store"]:
        show("The engine runs in this mode, and PostgreSQL has it.")
    else:
        show("The engine runs in this mode. PostgreSQL is away, and is told when it is back.")


def last_status(folder: Path) -> EngineStatus | None:
    """What the engine said of itself last; None if that can't be known."""
    try:
        return read_heartbeat(folder / HEARTBEAT)
    except EngineError:
        return None


def show_status(told: EngineStatus) -> None:
    """Print what an engine says of itself."""
    show(
        f"process {told.pid}, {told.network}, since {told.started_at:%Y-%m-%d %H:%M:%S} UTC, "
        f"told at {told.told_at:%H:%M:%S}, trader {'runs' if told.trader_running else 'DOES NOT RUN'}"
    )
    show(f"equity {told.equity:,.2f}, today {told.day_pnl:+,.2f}, quote balance {told.quote_balance:,.2f}")
    show(f"champion {told.champion or 'none'} {told.champion_note}".rstrip())
    agreed = "never" if told.reconciled_at is None else f"{told.reconciled_at:%H:%M:%S} UTC"
    show(
        f"journal at {told.sequence}, PostgreSQL {told.copy_lag_seconds:.1f} s behind, agreed with the venue: {agreed}"
    )
    show_positions(told)
    for line in told.differences:
        show(f"differs: {line}")
    for line in told.blocked:
        show(f"entries are refused: {line}")
    for stream in told.streams:
        if stream.stale:
            age = "never heard" if stream.age_seconds is None else f"{stream.age_seconds:.1f} s old"
            show(f"stale: {stream.stream} {stream.instrument_id} {age}")


def show_positions(told: EngineStatus) -> None:
    """Print what is held, in a table."""
    shown = table("Positions", "instrument", "quantity", "entry", "mark", "stop", "unrealised", "last decision")
    for market in told.markets:
        prices = (market.entry_price, market.mark_price, market.stop_price)
        cells = (price_text(price) for price in prices)
        held = f"{market.quantity:+f}" if market.quantity else "flat"
        profit = f"{market.unrealised:+,.2f}" if market.quantity else ""
        shown.add_row(market.instrument_id, held, *cells, profit, escape(market.outcome))
    out.print(shown)


def price_text(price: Decimal | None) -> str:
    """A price as a person reads it: two decimals, a small one six digits, no zeros at the end; empty for none."""
    if price is None:
        return ""
    text = f"{round(price, max(2, 5 - price.adjusted())):,f}"
    return text.rstrip("0").rstrip(".") if "." in text else text

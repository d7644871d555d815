"""Live trading on the terminal: what the heartbeat says, in tables."""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.text import Text

from helios_pipeline.cli.live_account import COLOURS, price_text
from helios_pipeline.cli.terminal import table
from helios_pipeline.core.status import EngineStatus, MarketStatus, StreamStatus

STREAMS = ("trades", "klines", "quotes", "mark", "funding")
"""Columns of what is heard, in the order in which it matters."""

OLD_SECONDS = 5.0
"""A heartbeat that is older is said to be."""

LEVEL_COLOURS = {"warning": "yellow", "error": "red", "critical": "bold red"}


def view(status: EngineStatus | None, now: datetime, recent: Sequence[str], last: str) -> RenderableType:
    """Everything at one glance.

    Args:
        status: of the newest heartbeat; None while there is none.
        now: UTC.
        recent: log lines of late that are worth reading, JSON.
        last: what `helios live` itself said last.
    """
    if status is None:
        return Group(Text(last, style="dim"), *_events(recent))
    parts: list[RenderableType] = [_head(status, now), *_reasons(status), "", _markets(status), ""]
    parts += [_streams(status), "", _account(status, now), *_events(recent)]
    return Group(*parts, Text(f"{last} Ctrl-C stops in good order; helios halt, reduce, flatten.".strip(), style="dim"))


def _head(status: EngineStatus, now: datetime) -> Text:
    age = (now - status.told_at).total_seconds()
    parts = [
        f"[bold]{escape(status.account)}[/] on {status.network}",
        f"[{COLOURS[status.mode]}]{status.mode}[/]",
        "trader runs" if status.trader_running else "[bold red]trader does not run[/]",
        f"champion {status.champion[:12]}" if status.champion else "[yellow]no champion[/]",
        f"up {_span(now - status.started_at)}, start {status.epoch}",
    ]
    parts += [] if status.height is None else [f"block {status.height:,}"]
    parts += [f"[bold red]heartbeat {age:.0f} s old[/]"] if age > OLD_SECONDS else [f"{status.told_at:%H:%M:%S} UTC"]
    return Text.from_markup(" · ".join(parts))


def _reasons(status: EngineStatus) -> list[RenderableType]:
    """Why things are not as they should be, a line each."""
    said = []
    if status.mode != "ACTIVE":
        said.append(f"{status.mode} by {status.mode_who}: {status.mode_why}")
    said += [f"entries are refused: {reason}" for reason in status.blocked]
    said += [f"differs: {difference}" for difference in status.differences]
    said += [f"champion: {status.champion_note}"] if status.champion_note else []
    return [Text(line, style="yellow") for line in said]


def _markets(status: EngineStatus) -> RenderableType:
    shown = table(
        "", "instrument", "position", "entry", "mark", "stop", "unrealised", "signal", "last decision", "at, UTC"
    )
    for column in shown.columns[1:7]:
        column.justify = "right"
    for market in status.markets:
        shown.add_row(market.instrument_id, *_position(market), *_decision(market))
    return shown


def _position(market: MarketStatus) -> tuple[str, ...]:
    quantity = f"{market.quantity:+f}" if market.quantity else "flat"
    prices = (market.entry_price, market.mark_price, market.stop_price)
    return quantity, *(price_text(price) for price in prices), _money(market.unrealised) if market.quantity else ""


def _decision(market: MarketStatus) -> tuple[str, ...]:
    signal = "" if market.signal is None else f"{market.signal:+.2f}"
    outcome = escape(market.outcome or "none yet")
    if market.unknown_orders:
        orders = "order" if market.unknown_orders == 1 else "orders"
        outcome += f" [red]({market.unknown_orders} {orders} unknown)[/]"
    return signal, outcome, "" if market.closed_at is None else f"{market.closed_at:%H:%M:%S}"


def _streams(status: EngineStatus) -> RenderableType:
    """Ages in seconds, a line an instrument; what a venue says of itself stands under its own name."""
    shown = table("", "heard, seconds ago", *STREAMS)
    for column in shown.columns[1:]:
        column.justify = "right"
    ages: dict[str, dict[str, str]] = {}
    for stream in status.streams:
        ages.setdefault(stream.instrument_id or stream.stream, {})[stream.stream] = _age(stream)
    for name, of in ages.items():
        own = [text for stream, text in of.items() if stream not in STREAMS]
        shown.add_row(
            name, *([*own, *[""] * len(STREAMS)][: len(STREAMS)] if own else (of.get(s, "") for s in STREAMS))
        )
    return shown


def _age(stream: StreamStatus) -> str:
    age = "none" if stream.age_seconds is None else f"{stream.age_seconds:.1f}"
    return f"[red]{age}[/]" if stream.stale else age


def _account(status: EngineStatus, now: datetime) -> Text:
    colour = "red" if status.day_pnl < 0 else "green"
    agreed = "never" if status.reconciled_at is None else f"{(now - status.reconciled_at).total_seconds():.0f} s ago"
    counted = ", ".join(_counted(name, n) for name, n in sorted(status.counters.items()) if n and _of_use(name))
    parts = [
        f"equity [bold]{status.equity:,.2f}[/]",
        f"today [{colour}]{_money(status.day_pnl)}[/]",
        f"agreed with the venue {agreed}",
        f"journal {status.sequence:,}",
        f"PostgreSQL {status.copy_lag_seconds:.1f} s behind",
    ]
    return Text.from_markup(" · ".join([*parts, *([escape(counted)] if counted else [])]))


def _of_use(counter: str) -> bool:
    """Whether a person wants to know; kinds of records are counted under the names of their classes."""
    return counter != "snapshots" and not counter[:1].isupper()


def _counted(name: str, n: int) -> str:
    gate = name.removeprefix("refused_")
    return f"{n} {name.replace('_', ' ')}" if gate == name else f"{n} refused by {gate.replace('_', ' ')}"


def _events(recent: Sequence[str]) -> list[RenderableType]:
    """Warnings and errors of late."""
    shown: list[RenderableType] = []
    for line in recent:
        said = json.loads(line)
        at, event = str(said.get("at", ""))[11:19], str(said.get("event", "")).replace("_", " ")
        event += f" to {said['mode']} by {said.get('who', '')}" if said.get("mode") else ""
        why = next((f": {said[name]}" for name in ("why", "reason", "found", "said") if said.get(name)), "")
        text = f"{at} {said.get('process', '')}: {event}{why}".replace("\n", " ")
        shown.append(Text(text, style=LEVEL_COLOURS.get(str(said.get("level")), ""), no_wrap=True, overflow="ellipsis"))
    return ["", *shown] if shown else []


def _money(amount: Decimal) -> str:
    return f"{amount:+,.2f}"


def _span(passed: timedelta) -> str:
    seconds = max(0, int(passed.total_seconds()))
    days, rest = divmod(seconds, 86_400)
    clock = f"{rest // 3_600:02d}:{rest // 60 % 60:02d}:{rest % 60:02d}"
    return f"{days} d {clock}" if days else clock

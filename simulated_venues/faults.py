"""What a venue does wrong, on demand: a list of active faults that every part of it asks before it acts.

A fault is started by the control endpoint or by a scenario file. It ends by itself after its seconds or its count, or
when it is stopped. Whether it strikes (`share`) is drawn from a generator of its own seed, so a scenario repeats.
"""

import itertools
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase
from types import MappingProxyType

from helios_pipeline.core.errors import SimulationError

BOTH, BINANCE, DYDX = frozenset({"binance", "dydx"}), frozenset({"binance"}), frozenset({"dydx"})


class Nature(StrEnum):
    """How a fault goes on."""

    STRIKES = "strikes"
    """At its chances: a share of them, and so often."""
    LASTS = "lasts"
    """All the time until it ends: count and share would mean nothing."""
    ONCE = "once"
    """At the moment it is started, and then it is over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultKind:
    """One thing that can go wrong.

    Attributes:
        venues: which venues know it.
        meaning: what happens, in a line.
        where: what `where` is matched against; empty if the fault is of the whole venue.
        value: what `value` means and its unit; empty if there is none.
        nature: how it goes on.
    """

    venues: frozenset[str]
    meaning: str
    where: str = ""
    value: str = ""
    nature: Nature = Nature.STRIKES


_PATH, _STREAM, _TICKER = "path of a request", "stream, or channel/id", "symbol or ticker"

KINDS = MappingProxyType(
    {
        "http_status": FaultKind(
            venues=BOTH,
            meaning="requests are answered by an error",
            where=_PATH,
            value="HTTP status, e.g. 429, 418, 503",
        ),
        "slow_response": FaultKind(venues=BOTH, meaning="answers come late", where=_PATH, value="milliseconds"),
        "truncated_response": FaultKind(
            venues=BOTH, meaning="answers stop half-way and the connection closes", where=_PATH
        ),
        "drop_messages": FaultKind(venues=BOTH, meaning="WebSocket messages are lost", where=_STREAM),
        "mute": FaultKind(
            venues=BOTH, meaning="nothing is sent, answers to pings included; connections stay open", where=_STREAM
        ),
        "delay_messages": FaultKind(
            venues=BOTH, meaning="WebSocket messages come late, in order", where=_STREAM, value="milliseconds"
        ),
        "duplicate_messages": FaultKind(venues=BOTH, meaning="WebSocket messages come twice", where=_STREAM),
        "reorder_messages": FaultKind(
            venues=BOTH, meaning="a WebSocket message changes places with the next one", where=_STREAM
        ),
        "disconnect": FaultKind(
            venues=BOTH, meaning="WebSocket connections are closed, at once", where="", nature=Nature.ONCE
        ),
        "refuse_connections": FaultKind(venues=BOTH, meaning="new WebSocket connections get an HTTP 503"),
        "stale_prices": FaultKind(
            venues=BOTH,
            meaning="the market stands still: no trade, no change of book, the last prices",
            where=_TICKER,
            nature=Nature.LASTS,
        ),
        "clock_skew": FaultKind(
            venues=BOTH,
            meaning="the venue's clock is wrong",
            value="milliseconds that it is ahead; negative: behind",
            nature=Nature.LASTS,
        ),
        "restart": FaultKind(
            venues=BOTH,
            meaning="the venue stops listening, then comes back with its state",
            value="seconds away",
            nature=Nature.ONCE,
        ),
        "depth_gap": FaultKind(
            venues=BINANCE, meaning="a depth message is missing, so `pu` does not join", where=_TICKER
        ),
        "swallow_transaction": FaultKind(venues=DYDX, meaning="a transaction is accepted and never included"),
        "bump_sequence": FaultKind(
            venues=DYDX, meaning="account sequences grow by `value`, as if another signer were at work", value="steps"
        ),
        "reject_orders": FaultKind(
            venues=DYDX, meaning="CheckTx refuses orders", where=_TICKER, value="ABCI code, e.g. 1000"
        ),
        "partial_fills": FaultKind(
            venues=DYDX, meaning="a match gives only a part of its quantity", where=_TICKER, value="fraction, e.g. 0.4"
        ),
        "late_fill_after_cancel": FaultKind(
            venues=DYDX, meaning="a cancel is accepted, and the order fills all the same", where=_TICKER
        ),
        "oracle_jump": FaultKind(
            venues=DYDX,
            meaning="the oracle price is moved",
            where=_TICKER,
            value="fraction, e.g. -0.2",
            nature=Nature.LASTS,
        ),
        "halt_chain": FaultKind(venues=DYDX, meaning="no block is made; transactions wait", nature=Nature.LASTS),
        "indexer_lag": FaultKind(
            venues=DYDX, meaning="the indexer is behind the chain", value="blocks", nature=Nature.LASTS
        ),
        "hide_fills": FaultKind(
            venues=DYDX, meaning="fills are missing from the WebSocket, but REST shows them", where=_TICKER
        ),
    }
)
"""Every fault by its name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A fault to start.

    Attributes:
        kind: a key of `KINDS`.
        where: shell-style pattern (`btcusdt@depth*`, `/fapi/v1/*`, `BTC-USD`) of what it strikes.
        value: what the kind says.
        share: how often it strikes of the times it could, above 0 to 1.
        count: it ends after striking so often; None: no limit.
        seconds: it ends after so long; None: when it is stopped.
    """

    kind: str
    where: str = "*"
    value: float = 0.0
    share: float = 1.0
    count: int | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        """Refuse what can't be carried out."""
        if self.kind not in KINDS:
            raise SimulationError(f"fault: expected a kind among {', '.join(KINDS)}, found {self.kind!r}.")
        nature = KINDS[self.kind].nature
        allowed = {
            f"no count and no share, because it {nature}": nature is not Nature.LASTS
            or (self.count is None and self.share == 1),
            "a count of 1, no seconds and no share, because it happens once": nature is not Nature.ONCE
            or (self.count in (None, 1) and self.seconds is None and self.share == 1),
            "0 < share ≤ 1": 0 < self.share <= 1,
            "count ≥ 1": self.count is None or self.count >= 1,
            "seconds > 0": self.seconds is None or self.seconds > 0,
            f"value ({KINDS[self.kind].value})": not KINDS[self.kind].value or self.value != 0,
        }
        broken = [rule for rule, holds in allowed.items() if not holds]
        if broken:
            raise SimulationError(f"fault {self.kind}: expected {', '.join(broken)}; found {self}.")


@dataclass(slots=True)
class _Active:
    fault: Fault
    started: float
    struck: int = 0

    def is_over(self, now: float) -> bool:
        fault = self.fault
        return (fault.seconds is not None and now >= self.started + fault.seconds) or (
            fault.count is not None and self.struck >= fault.count
        )


@dataclass(slots=True)
class Faults:
    """The active faults of one venue.

    Attributes:
        venue: `binance` or `dydx`.
        seed: of the draws of `share`.
        listeners: called with each fault as it starts, for those that happen once (`disconnect`, `restart`).
    """

    venue: str
    seed: int = 0
    listeners: list[Callable[[Fault], None]] = field(default_factory=list)
    _active: dict[int, _Active] = field(default_factory=dict)
    _ids: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _random: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def start(self, fault: Fault) -> int:
        """Make a fault active, or let it happen if it is of the kind that happens once; its number, for `stop`.

        Raises:
            SimulationError: this venue does not know the kind.
        """
        if self.venue not in KINDS[fault.kind].venues:
            known = [kind for kind, about in KINDS.items() if self.venue in about.venues]
            raise SimulationError(f"fault at {self.venue}: expected one of {', '.join(known)}, found {fault.kind}.")
        number = next(self._ids)
        self._active[number] = _Active(fault, time.monotonic())
        for listener in self.listeners:
            listener(fault)
        if KINDS[fault.kind].nature is Nature.ONCE:
            self.stop(number)
        return number

    def stop(self, number: int) -> bool:
        """End a fault; False if it is over already."""
        return self._active.pop(number, None) is not None

    def stop_all(self) -> None:
        """End every fault."""
        self._active.clear()

    def active(self, kind: str, name: str = "*") -> Fault | None:
        """The fault of that kind that is in force for a name, without counting it as struck."""
        if not self._active:
            return None
        found = self._find(kind, name)
        return found.fault if found else None

    def seconds_active(self, kind: str, name: str = "*") -> float | None:
        """For how long a fault of that kind has been in force for a name; None if none is."""
        found = self._find(kind, name) if self._active else None
        return time.monotonic() - found.started if found else None

    def take(self, kind: str, name: str = "*") -> Fault | None:
        """The fault of that kind if it strikes now: its share is drawn, and it is counted."""
        if not self._active:
            return None
        found = self._find(kind, name)
        if found is None or (found.fault.share < 1 and self._random.random() >= found.fault.share):
            return None
        found.struck += 1
        return found.fault

    def describe(self) -> list[dict[str, object]]:
        """The active faults with their numbers, how often they struck and the seconds they have left."""
        now = time.monotonic()
        self._forget_past(now)
        return [
            {
                "number": number,
                **asdict(active.fault),
                "struck": active.struck,
                "seconds_left": None
                if active.fault.seconds is None
                else round(active.started + active.fault.seconds - now, 1),
            }
            for number, active in tuple(self._active.items())
        ]

    def _find(self, kind: str, name: str) -> _Active | None:
        self._forget_past(time.monotonic())
        for active in tuple(self._active.values()):
            if active.fault.kind == kind and (name == "*" or fnmatchcase(name, active.fault.where)):
                return active
        return None

    def _forget_past(self, now: float) -> None:
        # Threads that answer requests ask too, and a fault may end under any of them.
        for number, active in tuple(self._active.items()):
            if active.is_over(now):
                self._active.pop(number, None)

"""A scenario: a TOML file of faults over time, read whole and checked before anything starts.

[[fault]]
at = 12.5              # seconds after the venue started
venue = "binance"
kind = "http_status"   # a name of `faults.KINDS`; where, value, share, count and seconds as there
where = "/fapi/v1/*"
value = 429
seconds = 5
"""

import asyncio
import math
import tomllib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

from helios_pipeline.core.errors import SettingsError, SimulationError
from simulated_venues.faults import KINDS, Fault, Faults

VENUES = ("binance", "dydx")
_OF_FAULT = {"kind": str, "where": str, "value": float, "share": float, "count": int, "seconds": float}
_TYPES = {"at": float, "venue": str, **_OF_FAULT}
_WORDS = {str: "a text", float: "a number", int: "a whole number"}
_REQUIRED = ("at", "venue", "kind")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One fault of a scenario.

    Attributes:
        at: seconds after the venue started to listen.
        venue: `binance` or `dydx`.
        fault: what starts then.
    """

    at: float
    venue: str
    fault: Fault


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """Faults over time, in order of time; of equal times in the order of the file."""

    entries: tuple[Entry, ...] = ()

    def of(self, venue: str) -> "Scenario":
        """What happens at one venue."""
        return Scenario(entries=tuple(entry for entry in self.entries if entry.venue == venue))

    @property
    def seconds(self) -> float:
        """When the last fault starts; 0 without any."""
        return self.entries[-1].at if self.entries else 0.0

    def rows(self) -> list[dict[str, Any]]:
        """The entries as tables, which `scenario_of` reads again."""
        return [
            {"at": entry.at, "venue": entry.venue}
            | {key: value for key, value in asdict(entry.fault).items() if value is not None}
            for entry in self.entries
        ]


def read_scenario(path: Path) -> Scenario:
    """The scenario in a file.

    Raises:
        SettingsError: there is no such file, it is not TOML, or an entry can't be carried out; names the entry.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingsError(f"scenario: expected a file at {path}, found none.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise SettingsError(f"scenario: expected TOML in {path}, found: {error}.") from None
    rows = document.pop("fault", None)
    if document or not isinstance(rows, list) or not rows:
        found = ", ".join(document) or ("no [[fault]]" if rows is None else repr(rows))
        raise SettingsError(f"scenario {path.name}: expected [[fault]] tables and nothing else, found {found}.")
    return scenario_of(rows, path.name)


def scenario_of(rows: list[Any], name: str) -> Scenario:
    """The scenario of tables as they stand in a file.

    Args:
        rows: one a fault.
        name: of the file, for errors.

    Raises:
        SettingsError: an entry can't be carried out.
    """
    entries = [_entry(f"scenario {name}, fault {number}", row) for number, row in enumerate(rows, 1)]
    return Scenario(entries=tuple(sorted(entries, key=lambda entry: entry.at)))


async def play(scenario: Scenario, faults: Faults) -> None:
    """Start each fault at its time, counted from now."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    for entry in scenario.entries:
        await asyncio.sleep(began + entry.at - loop.time())
        faults.start(entry.fault)


def _entry(where: str, row: object) -> Entry:
    values = _checked(where, row)
    if values["at"] < 0:
        raise SettingsError(f"{where}: expected at ≥ 0, seconds after the start, found {values['at']}.")
    if values["venue"] not in VENUES:
        raise SettingsError(f"{where}: expected venue {' or '.join(VENUES)}, found {values['venue']!r}.")
    try:
        fault = Fault(**{key: values[key] for key in _OF_FAULT if key in values})
    except SimulationError as error:
        raise SettingsError(f"{where}: {error}") from None
    if values["venue"] not in KINDS[fault.kind].venues:
        known = ", ".join(kind for kind, about in KINDS.items() if values["venue"] in about.venues)
        raise SettingsError(f"{where}: expected a kind that {values['venue']} knows ({known}), found {fault.kind}.")
    return Entry(at=values["at"], venue=values["venue"], fault=fault)


def _checked(where: str, row: object) -> dict[str, Any]:
    """A table whose keys are all known, whose required ones are there, and whose values have the right types."""
    if not isinstance(row, dict):
        raise SettingsError(f"{where}: expected a table, found {row!r}.")
    values = cast("dict[str, Any]", row)
    if unknown := sorted(set(values) - set(_TYPES)):
        raise SettingsError(f"{where}: expected keys among {', '.join(_TYPES)}, found {', '.join(unknown)}.")
    if missing := [key for key in _REQUIRED if key not in values]:
        raise SettingsError(f"{where}: expected {', '.join(missing)}, found only {', '.join(values) or 'nothing'}.")
    for key, value in values.items():
        wanted = _TYPES[key]
        accepted = (int, float) if wanted is float else wanted
        right = isinstance(value, accepted) and not isinstance(value, bool)
        if not right or (wanted is float and not math.isfinite(value)):
            raise SettingsError(f"{where}: expected {key} to be {_WORDS[wanted]}, found {value!r}.")
    return {key: float(value) if _TYPES[key] is float else value for key, value in values.items()}

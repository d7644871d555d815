"""Errors that a user can act on.

Every message says what was expected, what was found, where, and what to do next. The command line prints it in one
line and exits with the class's code; anything else is a defect and keeps its traceback.
"""

from typing import ClassVar


class HeliosError(Exception):
    """Base of every error that has a cause outside the code."""

    exit_code: ClassVar[int] = 1


class SettingsError(HeliosError):
    """A setting or environment variable is missing or not allowed."""

    exit_code = 2


class DataError(HeliosError):
    """Market data is missing, damaged or contradicts itself."""

    exit_code = 3


class UnreachableError(DataError):
    """A source of market data does not answer; the same request may succeed later."""


class DatabaseError(HeliosError):
    """PostgreSQL can't be reached, started or migrated."""

    exit_code = 4


class ManifestError(HeliosError):
    """A champion manifest or signing key is absent, altered, foreign or not allowed here."""

    exit_code = 5


class SimulationError(HeliosError):
    """Inputs of a simulation are inconsistent, or would overflow exact money."""

    exit_code = 6


class JournalError(HeliosError):
    """The journal can't be written or read: nothing may be sent."""

    exit_code = 7


class VenueError(HeliosError):
    """A trading venue refuses, or answers with something else than it documents."""

    exit_code = 8


class EngineError(HeliosError):
    """The live engine can't start or go on here: another one holds the account, a state is unreadable."""

    exit_code = 9

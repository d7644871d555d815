"""Keeps the account's lease in PostgreSQL, so that no engine of another home trades the same account."""

import logging
import time
from collections.abc import Callable
from typing import Protocol

from helios_pipeline.core.errors import DatabaseError, EngineError

log = logging.getLogger(__name__)


class Lease(Protocol):
    """A lease of one account. All raise DatabaseError while PostgreSQL is away."""

    def acquire(self, at_least: int) -> int:
        """Take it; its epoch, which grows with every holder. EngineError: another engine holds it."""

    def renew(self) -> None:
        """Keep it. EngineError: it was lost to another engine."""

    def release(self) -> None:
        """Give it back."""


class LeaseKeeper:
    """Takes the lease and keeps it; while PostgreSQL is away it is as it was.

    Args:
        lease: None where there is no PostgreSQL; then the home's lock is all there is, and entries wait.
        raise_epoch: told the epoch of a lease that was taken.
        epoch: that this engine's journal has reached.
        lasts_seconds: for so long after a renewal nobody else can take it.
    """

    def __init__(
        self,
        lease: Lease | None,
        raise_epoch: Callable[[int], None],
        epoch: Callable[[], int],
        lasts_seconds: float,
    ) -> None:
        self._lease = lease
        self._raise_epoch = raise_epoch
        self._epoch = epoch
        self._lasts_seconds = lasts_seconds
        self._asked_at = 0.0
        self.held = False

    @property
    def missing(self) -> tuple[str, ...]:
        """Why nothing may be entered, as far as the lease is concerned."""
        if not self.held:
            return ("lease: PostgreSQL could not be asked yet whether another engine trades this account",)
        age = _seconds() - self._asked_at
        if age < self._lasts_seconds:
            return ()
        return (f"lease: it was last renewed {age:.0f} s ago, so another engine may have taken the account",)

    def keep(self) -> None:
        """Take or renew the lease. Blocks; to be called every few seconds.

        Raises:
            EngineError: another engine holds it: nothing more may be sent.
        """
        if self._lease is None:
            return
        asked_at = _seconds()  # before the answer: the lease began at some time in between
        try:
            if self.held:
                self._lease.renew()
            else:
                self._raise_epoch(self._lease.acquire(self._epoch()))
                self.held = True
            self._asked_at = asked_at
        except DatabaseError as error:
            log.warning("lease_not_kept", extra={"why": str(error)})
        except EngineError:
            self.held = False
            raise

    def release(self) -> None:
        """Give it back, if it is held and PostgreSQL is there."""
        if self._lease is None or not self.held:
            return
        self.held = False
        try:
            self._lease.release()
        except (DatabaseError, EngineError) as error:
            log.warning("lease_not_released", extra={"why": str(error)})


def _seconds() -> float:
    """Of a clock that goes on while the machine sleeps, as the lease does."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)

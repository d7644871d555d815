"""The lease on an account: one engine trades it, whichever machine it runs on."""

from datetime import datetime
from typing import cast

from helios_pipeline.adapters.postgres.session import lasting, transaction
from helios_pipeline.core.errors import EngineError

LEASE_SECONDS = 360.0
"""A lease that was not renewed for so long may be taken by another machine: longer than an engine that can't reach
PostgreSQL goes on entering (`max_copy_lag_seconds`). One of the same home waits for nothing, since it holds that home's
lock."""

ACQUIRE = """
insert into engine_leases as held (account, epoch, holder, home, acquired_at, renewed_at, expires_at)
values (%(account)s, greatest(%(at_least)s, 1), %(holder)s, %(home)s, clock_timestamp(), clock_timestamp(),
        clock_timestamp() + make_interval(secs => %(seconds)s))
on conflict (account) do update set
  epoch = greatest(held.epoch + 1, excluded.epoch), holder = excluded.holder, home = excluded.home,
  acquired_at = excluded.acquired_at, renewed_at = excluded.renewed_at, expires_at = excluded.expires_at
where held.expires_at <= clock_timestamp() or held.home = excluded.home
returning epoch
"""

RENEW = """
update engine_leases set renewed_at = clock_timestamp(),
  expires_at = clock_timestamp() + make_interval(secs => %(seconds)s)
where account = %(account)s and epoch = %(epoch)s returning epoch
"""

RELEASE = "update engine_leases set expires_at = clock_timestamp() where account = %(account)s and epoch = %(epoch)s"

HOLDER = "select holder, epoch, renewed_at, expires_at from engine_leases where account = %s"


class Lease:
    """The right to trade an account, held by renewing it.

    Args:
        url: as role `helios_live`.
        account: which.
        holder: names the engine to people: machine, process.
        home: machine and folder whose lock this engine has; see `live_engine.home_lock`.
        seconds: that it is held without being renewed.
    """

    def __init__(self, url: str, account: str, holder: str, *, home: str, seconds: float = LEASE_SECONDS) -> None:
        self._url = lasting(url)
        self._values = {"account": account, "holder": holder, "home": home, "seconds": seconds}
        self._account = account

    def acquire(self, at_least: int = 1) -> int:
        """Take the lease.

        Args:
            at_least: lowest epoch that will do: the journal's own.

        Returns:
            The epoch: higher than any engine of this account had.

        Raises:
            EngineError: another engine holds it; the message names it.
            DatabaseError: the server can't be reached.
        """
        with transaction(self._url) as connection:
            row = connection.execute(ACQUIRE, {**self._values, "at_least": at_least}).fetchone()
            if row is None:
                raise EngineError(self._held(connection.execute(HOLDER, (self._account,)).fetchone()))
        self._values["epoch"] = epoch = cast("int", row[0])
        return epoch

    def renew(self) -> None:
        """Hold the lease for its whole time again.

        Raises:
            EngineError: another engine has taken it: this one must stop.
            DatabaseError: the server can't be reached: the lease runs on until it expires.
        """
        with transaction(self._url) as connection:
            if connection.execute(RENEW, self._values).fetchone() is None:
                raise EngineError(self._held(connection.execute(HOLDER, (self._account,)).fetchone()))

    def release(self) -> None:
        """Let go, so that another engine need not wait; one that has taken it keeps it.

        Raises:
            DatabaseError: the server can't be reached: the lease expires by itself.
        """
        with transaction(self._url) as connection:
            connection.execute(RELEASE, self._values)

    def _held(self, row: tuple[object, ...] | None) -> str:
        if row is None:
            return f"lease on {self._account}: expected the row that this engine wrote, found none. Start it again."
        holder, epoch, renewed_at, expires_at = row
        return (
            f"lease on {self._account}: expected to hold it, found it held by {holder} (epoch {epoch}, renewed "
            f"{_second(renewed_at)}, until {_second(expires_at)}). Stop it, or wait until its lease has expired."
        )


def _second(instant: object) -> str:
    return cast("datetime", instant).astimezone().isoformat(timespec="seconds")

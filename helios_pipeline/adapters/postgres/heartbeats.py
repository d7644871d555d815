"""What each account's engine last said of itself, for readers who can't see its heartbeat file."""

from psycopg.types.json import Jsonb

from helios_pipeline.adapters.postgres.session import lasting, transaction
from helios_pipeline.core.canonical import from_document, to_document
from helios_pipeline.core.status import EngineStatus

WRITE = """
insert into engine_heartbeats as last (account, epoch, told_at, status) values (%s, %s, %s, %s)
on conflict (account) do update set epoch = excluded.epoch, told_at = excluded.told_at, status = excluded.status
where (last.epoch, last.told_at) <= (excluded.epoch, excluded.told_at)
"""


class HeartbeatStore:
    """One row per account.

    Args:
        url: as role `helios_live`; others may read.
    """

    def __init__(self, url: str) -> None:
        self._url = lasting(url)

    def write(self, status: EngineStatus) -> None:
        """Replace the account's row, unless it is newer.

        Raises:
            DatabaseError: the server can't be reached.
        """
        with transaction(self._url) as connection:
            connection.execute(WRITE, (status.account, status.epoch, status.told_at, Jsonb(to_document(status))))

    def read(self, account: str) -> EngineStatus | None:
        """What the account's engine said last; None if none ever did.

        Raises:
            DatabaseError: the server can't be reached.
            ManifestError: another version of Helios wrote it.
        """
        with transaction(self._url) as connection:
            row = connection.execute("select status from engine_heartbeats where account = %s", (account,)).fetchone()
        return None if row is None else from_document(EngineStatus, row[0], f"heartbeat of {account}")

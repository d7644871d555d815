"""The kill switch's row in PostgreSQL; a local file says it too, and the stricter of both holds."""

from psycopg.rows import class_row

from helios_pipeline.adapters.postgres.session import lasting, transaction
from helios_pipeline.core.trading import ModeChange

WRITE = """
insert into engine_modes (account, mode, who, why, changed_at) values (%s, %s, %s, %s, %s)
on conflict (account) do update set
  mode = excluded.mode, who = excluded.who, why = excluded.why, changed_at = excluded.changed_at
"""


class ModeStore:
    """The mode of each account.

    Args:
        url: as role `helios_live`.
    """

    def __init__(self, url: str) -> None:
        self._url = lasting(url)

    def read(self, account: str) -> ModeChange | None:
        """The last change; None if it was never changed.

        Raises:
            DatabaseError: the server can't be reached.
        """
        with transaction(self._url) as connection, connection.cursor(row_factory=class_row(ModeChange)) as cursor:
            return cursor.execute(
                "select account, mode, who, why, changed_at from engine_modes where account = %s", (account,)
            ).fetchone()

    def write(self, change: ModeChange) -> None:
        """Replace an account's mode.

        Raises:
            DatabaseError: the server can't be reached; nothing was changed.
        """
        with transaction(self._url) as connection:
            connection.execute(WRITE, (change.account, change.mode, change.who, change.why, change.changed_at))

"""The champion of a network as PostgreSQL has it, and the word that it changed."""

import threading
from collections.abc import Callable

import psycopg

from helios_pipeline.adapters.postgres.promotions import PromotionStore
from helios_pipeline.adapters.postgres.session import connect
from helios_pipeline.core.errors import DatabaseError
from helios_pipeline.core.manifest import SignedManifest

CHANNEL = "helios"
"""Tables announce their changes here; the payload names the table."""
LONGEST_SILENCE_SECONDS = 1.0
"""How soon a listener notices that it is to stop."""


class PromotedChampion:
    """Reads a network's champion; implements the engine's champion source.

    Args:
        url: as role `helios_live`.
        network: `paper`, `testnet` or `mainnet`.
    """

    def __init__(self, url: str, network: str) -> None:
        self._store = PromotionStore(url)
        self._network = network

    def read(self) -> SignedManifest | None:
        """The champion on record, which may be anyone's until it is verified; None if none was ever promoted.

        Raises:
            DatabaseError: the server can't be reached.
            ManifestError: its signature is no signature.
        """
        row = self._store.champion(self._network)
        if row is None:
            return None
        return SignedManifest.from_record(bytes(row.manifest), key_id=row.key_id, signature=row.signature)


class ChampionNews:
    """A thread that calls a function at its start, when a champion is announced, and every so often.

    While the server is away, or the connection has died without a word, the function is called at that interval all
    the same: what it reads by its own connection is the fallback.

    Args:
        url: as role `helios_live`; a pooler in transaction mode does not pass notifications on, polling does the rest.
        changed: called in the thread; must not raise.
        poll_seconds: longest time between two calls.
    """

    def __init__(self, url: str, changed: Callable[[], None], poll_seconds: float) -> None:
        self._url = url
        self._changed = changed
        self._poll_seconds = poll_seconds
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="champion-news", daemon=True)
        self.listening = threading.Event()
        """Set while announcements are heard."""

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread and wait for it. Harmless when repeated."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._listen()
            except (DatabaseError, psycopg.OperationalError):
                self.listening.clear()
                self._changed()
                self._stopping.wait(self._poll_seconds)

    def _listen(self) -> None:
        with connect(self._url, autocommit=True) as connection:
            connection.execute("listen helios")
            self.listening.set()
            # After the listening has begun: what changed before is read, what changes later is announced.
            self._changed()
            silent = 0.0
            while not self._stopping.is_set():
                wait = min(LONGEST_SILENCE_SECONDS, self._poll_seconds)
                heard = [news.payload for news in connection.notifies(timeout=wait, stop_after=1)]
                silent += wait
                if any('"champions"' in payload for payload in heard) or silent >= self._poll_seconds:
                    self._changed()
                    silent = 0.0
            self.listening.clear()

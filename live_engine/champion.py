"""The champion: verified before it is traded, kept when a newer one is refused, gone when it has expired.

What was accepted is kept beside the account, so that an engine that starts without PostgreSQL goes on with its last
champion, and one that holds positions of an earlier champion can still manage them.
"""

import logging
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from helios_pipeline.core.errors import DatabaseError, EngineError, HeliosError, ManifestError, SettingsError
from helios_pipeline.core.keys import PublicKey
from helios_pipeline.core.manifest import Deployment, Manifest, SignedManifest, verify_manifest
from helios_pipeline.strategy.terms import Terms

log = logging.getLogger(__name__)

NEVER = datetime.min.replace(tzinfo=UTC)
"""A time at which nothing has expired: what was opened on a champion is managed on it to its end."""
CURRENT = "current.json"


class ChampionSource(Protocol):
    """Where the champion of a network is read."""

    def read(self) -> SignedManifest | None:
        """The newest; None if none was ever promoted.

        Raises:
            DatabaseError: it can't be reached.
            ManifestError: what is there is no manifest.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedDeployment:
    """What a champion must have been made for, and whose signature counts."""

    deployment: Deployment
    trusted: Mapping[str, Sequence[PublicKey]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Champion:
    """A manifest in force."""

    manifest_hash: str
    expires_at: datetime | None
    terms: Terms


class ChampionHolder:
    """The champion that one engine trades; `poll` may run in another thread.

    Args:
        here: what a champion must be made for.
        source: where it is read.
        folder: where accepted ones are kept.
        make_terms: a verified manifest and its hash, to the terms of this engine's markets.
        refused: told hash (empty if there is none) and reason of each manifest that is refused, once.
    """

    def __init__(
        self,
        here: TrustedDeployment,
        source: ChampionSource,
        folder: Path,
        make_terms: Callable[[Manifest, str], Terms],
        refused: Callable[[str, str], None],
    ) -> None:
        self._here = here
        self._source = source
        self._folder = folder
        self._make_terms = make_terms
        self._refused = refused
        self._lock = threading.Lock()
        self._champion: Champion | None = None
        self._note = "no champion was read yet"
        self._told = ""
        self._earlier: dict[str, Terms | None] = {}

    @property
    def current(self) -> Champion | None:
        """The champion, if it is valid at this moment."""
        champion = self._champion
        if champion is None or (champion.expires_at is not None and datetime.now(UTC) >= champion.expires_at):
            return None
        return champion

    @property
    def note(self) -> str:
        """Why there is no champion, or why the last one that was offered is not traded; empty for neither."""
        champion = self._champion
        if champion is not None and self.current is None:
            return f"champion {champion.manifest_hash[:12]} expired at {champion.expires_at}. Promote again."
        return self._note

    def load(self) -> None:
        """Take the last accepted champion from the folder, if it is still valid, until the source can be read."""
        path = self._folder / CURRENT
        try:
            signed = SignedManifest.from_bytes(path.read_bytes())
            with self._lock:
                self._champion, self._note = self._verified(signed, datetime.now(UTC)), ""
        except FileNotFoundError:
            return
        except (ManifestError, SettingsError, OSError) as error:
            self._refuse("", f"{path.name} of this account: {error}")

    def poll(self) -> None:
        """Read the source, and take the champion over if it is valid. Blocks, and never raises."""
        with self._lock:
            try:
                self._take(self._source.read())
            except DatabaseError as error:
                # Not a refusal: the champion in force stays, and the next poll may reach it.
                log.warning("champion_unreachable", extra={"why": str(error)})
                if self._champion is None:
                    self._note = str(error)
            except ManifestError as error:
                self._refuse("", str(error))
            except Exception as error:
                # Who calls is a thread that would end, and nobody would hear of a champion again.
                log.exception("champion_not_read")
                self._refuse("", f"champion: {type(error).__name__}: {error}")

    def terms_of(self, manifest_hash: str) -> Terms | None:
        """Terms of a champion that was accepted once, expired or not; None if it is not here or not genuine."""
        champion = self._champion
        if champion is not None and champion.manifest_hash == manifest_hash:
            return champion.terms
        if manifest_hash not in self._earlier:
            self._earlier[manifest_hash] = self._read_earlier(manifest_hash)
        return self._earlier[manifest_hash]

    def _take(self, signed: SignedManifest | None) -> None:
        if signed is None:
            self._champion, self._note = None, f"no champion was promoted for {self._here.deployment.network}"
            return
        if self.current is not None and self._champion is not None and self._is_same(signed):
            self._note = ""
            return
        try:
            champion = self._verified(signed, datetime.now(UTC))
            self._keep(signed)
        except (ManifestError, SettingsError, EngineError) as error:
            self._refuse(signed.content_hash, str(error))
            return
        self._champion, self._note, self._told = champion, "", ""
        log.info("champion_accepted", extra={"manifest": champion.manifest_hash})

    def _is_same(self, signed: SignedManifest) -> bool:
        """Whether the file of the champion in force holds this very manifest, signature included."""
        try:
            return (self._folder / CURRENT).read_bytes() == signed.to_bytes()
        except OSError:
            return False

    def _verified(self, signed: SignedManifest, now: datetime) -> Champion:
        here = self._here
        manifest = verify_manifest(signed, deployment=here.deployment, trusted=here.trusted, now=now)
        terms = self._make_terms(manifest, signed.content_hash)
        expires_at = manifest.approval.expires_at
        return Champion(manifest_hash=signed.content_hash, expires_at=expires_at, terms=terms)

    def _refuse(self, manifest_hash: str, why: str) -> None:
        self._note = why
        # The reason of one and the same manifest changes with the clock, so its name says whether it was told.
        if self._told == (manifest_hash or why):
            return
        self._told = manifest_hash or why
        log.error("champion_refused", extra={"manifest": manifest_hash, "why": why})
        try:
            self._refused(manifest_hash, why)
        except HeliosError as error:
            log.error("champion_refusal_not_journalled", extra={"why": str(error)})  # noqa: TRY400 - it names itself

    def _read_earlier(self, manifest_hash: str) -> Terms | None:
        path = self._folder / f"{manifest_hash}.json"
        try:
            champion = self._verified(SignedManifest.from_bytes(path.read_bytes()), NEVER)
        except (ManifestError, SettingsError, OSError) as error:
            log.warning("champion_lost", extra={"manifest": manifest_hash, "why": str(error)})
            return None
        return champion.terms if champion.manifest_hash == manifest_hash else None

    def _keep(self, signed: SignedManifest) -> None:
        """Keep an accepted manifest by its name and as the current one.

        Raises:
            EngineError: it can't be written.
        """
        data = signed.to_bytes()
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            for name in (f"{signed.content_hash}.json", CURRENT):
                partial = self._folder / f".{name}.{os.getpid()}"
                with partial.open("wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                partial.replace(self._folder / name)
        except OSError as error:
            raise EngineError(
                f"{self._folder}: expected to keep the champion, found: {error.strerror}. Make room or give access."
            ) from None

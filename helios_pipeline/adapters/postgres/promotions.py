"""Decisions about candidates, and the champion of each network."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, cast

import psycopg
from psycopg.rows import class_row, dict_row
from psycopg.types.json import Jsonb

from helios_pipeline.adapters.postgres.session import transaction
from helios_pipeline.core.errors import DatabaseError

type Connection = psycopg.Connection[tuple[object, ...]]

CHAMPION = """
select c.network, p.promotion_id, p.round, p.candidate, p.manifest, p.signature, p.key_id, c.action, c.reason, c.since
from champions c join promotions p using (promotion_id, network) where c.network = %s order by c.champion_id desc
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """A promotion or a refusal.

    Attributes:
        network: `paper`, `testnet` or `mainnet`.
        decision: what was decided.
        round: the round that proposed the candidate.
        candidate: its parameters; None if the round proposed none.
        gates: each gate with value, threshold and verdict.
        manifest: exactly the signed bytes; None in a refusal.
        signature: of the manifest; None in a refusal.
        key_id: of the key that signed; None in a refusal.
    """

    network: str
    decision: Literal["promoted", "refused"]
    round: str
    candidate: Mapping[str, object] | None
    gates: object
    manifest: bytes | None
    signature: str | None
    key_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredDecision:
    """A decision on record."""

    promotion_id: int
    decided_at: datetime
    decision: Decision


@dataclass(frozen=True, slots=True, kw_only=True)
class ChampionRow:
    """What a network trades, or once traded: a promotion that was made champion.

    Attributes:
        network: `paper`, `testnet` or `mainnet`.
        promotion_id: the decision it rests on.
        round: the round that proposed it.
        candidate: its parameters.
        manifest: exactly the signed bytes; verify them before use.
        signature: of the manifest.
        key_id: of the key that signed.
        action: whether it came by promotion or by rollback.
        reason: why, for people.
        since: when it became champion.
    """

    network: str
    promotion_id: int
    round: str
    candidate: Mapping[str, object]
    manifest: bytes
    signature: str
    key_id: str
    action: Literal["promoted", "rolled_back"]
    reason: str
    since: datetime


class PromotionStore:
    """Decisions and champions in PostgreSQL; rows are only ever added.

    Args:
        url: as role `helios_pipeline`; `helios_live` may read.
    """

    def __init__(self, url: str) -> None:
        self._url = url

    def record(self, decision: Decision) -> int:
        """Record a decision; a promotion makes its manifest the network's champion in the same transaction.

        Returns:
            Its number.
        """
        with transaction(self._url) as connection:
            row = connection.execute(
                "insert into promotions (network, decision, round, candidate, gates, manifest, signature, key_id)"
                " values (%s, %s, %s, %s, %s, %s, %s, %s) returning promotion_id",
                (
                    *(decision.network, decision.decision, decision.round),
                    None if decision.candidate is None else Jsonb(decision.candidate),
                    *(Jsonb(decision.gates), decision.manifest, decision.signature, decision.key_id),
                ),
            ).fetchone()
            (promotion_id,) = cast(tuple[int], row)
            if decision.decision == "promoted":
                _crown(connection, decision.network, promotion_id, "promoted", f"round {decision.round}")
        return promotion_id

    def decisions(self, network: str, limit: int = 20) -> list[StoredDecision]:
        """The newest decisions of a network, newest first."""
        with transaction(self._url) as connection, connection.cursor(row_factory=dict_row) as cursor:
            rows = cursor.execute(
                "select * from promotions where network = %s order by promotion_id desc limit %s", (network, limit)
            ).fetchall()
        return [
            StoredDecision(
                promotion_id=row.pop("promotion_id"), decided_at=row.pop("decided_at"), decision=Decision(**row)
            )
            for row in rows
        ]

    def champion(self, network: str) -> ChampionRow | None:
        """What a network trades now, if anything was ever promoted there."""
        with transaction(self._url) as connection, connection.cursor(row_factory=class_row(ChampionRow)) as cursor:
            return cursor.execute(CHAMPION + " limit 1", (network,)).fetchone()

    def champions(self, network: str) -> list[ChampionRow]:
        """Everything a network has traded, newest first."""
        with transaction(self._url) as connection, connection.cursor(row_factory=class_row(ChampionRow)) as cursor:
            return cursor.execute(CHAMPION, (network,)).fetchall()

    def promote(self, network: str, promotion_id: int, reason: str) -> None:
        """Make an earlier promotion the champion again.

        Raises:
            DatabaseError: the network has no such promotion.
        """
        with transaction(self._url) as connection:
            row = connection.execute(
                "select from promotions where network = %s and promotion_id = %s and decision = 'promoted'",
                (network, promotion_id),
            ).fetchone()
            if row is None:
                raise DatabaseError(
                    f"promotion {promotion_id} on {network}: expected a promotion on record, found none. "
                    "List them with `helios champion --history`."
                )
            _crown(connection, network, promotion_id, "promoted", reason)

    def rollback(self, network: str, reason: str) -> ChampionRow:
        """Return to what the network traded before its champion was promoted, and return that.

        Two rollbacks go two promotions back; one that was rolled back is not returned to.

        Raises:
            DatabaseError: nothing was promoted before it.
        """
        with transaction(self._url) as connection:
            _serialise(connection, network)
            history = connection.execute(
                "select promotion_id, action from champions where network = %s order by champion_id desc", (network,)
            ).fetchall()
            earlier = _before_promotion(cast(list[tuple[int, str]], history))
            if earlier is None:
                found = f"promotion {history[0][0]} with none before it" if history else "no champion"
                raise DatabaseError(
                    f"rollback on {network}: expected a champion with another before it, found {found}. "
                    "Promote a candidate instead."
                )
            _crown(connection, network, earlier, "rolled_back", reason)
            with connection.cursor(row_factory=class_row(ChampionRow)) as cursor:
                return cursor.execute(CHAMPION + " limit 1", (network,)).fetchall()[0]


def _before_promotion(history: list[tuple[int, str]]) -> int | None:
    """The promotion that reigned when the current champion was promoted.

    Args:
        history: promotion and action of each champion, newest first.
    """
    if not history:
        return None
    current = history[0][0]
    promoted = next(i for i, (promotion, action) in enumerate(history) if (promotion, action) == (current, "promoted"))
    return history[promoted + 1][0] if promoted + 1 < len(history) else None


def _crown(connection: Connection, network: str, promotion_id: int, action: str, reason: str) -> None:
    _serialise(connection, network)
    connection.execute(
        "insert into champions (network, promotion_id, action, reason) values (%s, %s, %s, %s)",
        (network, promotion_id, action, reason),
    )


def _serialise(connection: Connection, network: str) -> None:
    """Let one process at a time change a network's champion."""
    connection.execute("select pg_advisory_xact_lock(hashtextextended('helios.champion', hashtext(%s)))", (network,))

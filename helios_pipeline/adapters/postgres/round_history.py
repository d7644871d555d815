"""The rounds on record, in the order in which they were made."""

from typing import Any

from psycopg.rows import dict_row

from helios_pipeline.adapters.postgres.session import transaction
from helios_pipeline.core.past_rounds import PastRound
from helios_pipeline.core.records import Window


class RoundHistory:
    """Past rounds in PostgreSQL.

    Args:
        url: as role `helios_pipeline`.
    """

    def __init__(self, url: str) -> None:
        self._url = url

    def rounds(self) -> list[PastRound]:
        """Every round that has a sweep, the oldest first."""
        with transaction(self._url) as connection, connection.cursor(row_factory=dict_row) as cursor:
            rows = cursor.execute(
                "select round, market_data, instruments, window_first, window_last, grid, sets, passed, trials, "
                "best, created_at from sweep_rounds order by created_at, round"
            ).fetchall()
        return [_past_round(row) for row in rows]

    def until(self, name: str) -> list[PastRound]:
        """A round and those before it on the same bars of the same instruments, the oldest first; empty without it."""
        rounds = self.rounds()
        last = next((each for each in rounds if each.name == name), None)
        if last is None:
            return []
        return [each for each in rounds[: rounds.index(last) + 1] if each.searched_the_same(last)]


def _past_round(row: dict[str, Any]) -> PastRound:
    grid, best = row["grid"], row["best"]
    return PastRound(
        name=row["round"],
        market_data=row["market_data"],
        instruments=tuple(row["instruments"]),
        window=Window(first=row["window_first"], last=row["window_last"]),
        # Rounds of before there were samplers are grids.
        sampler=grid.get("search", {}).get("sampler", "grid"),
        sets=row["sets"],
        passed=row["passed"],
        trials=row["trials"],
        best_parameters=best["parameters"],
        best_sharpe=best["metrics"]["sharpe"],
        best_proscore2=best["metrics"]["proscore2"],
        grid=grid["values"],
        proposal=grid["next_round"],
        made_at=row["created_at"],
    )

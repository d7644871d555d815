"""What each optimization round found; a repeated round replaces its results, and keeps its place among the others."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString, cast

from psycopg import sql
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from helios_pipeline.adapters.postgres.session import transaction
from helios_pipeline.core.records import Window


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepRound:
    """Summary of one round's sweep.

    Attributes:
        round: its name.
        market_data: which bars: `binance`, or a simulated market with its seed.
        instruments: instrument ids, in any order.
        window: bars evaluated.
        grid: the values of each parameter, and the grid that is proposed next with its steps and reasons.
        sets: parameter sets evaluated.
        passed: those that met every constraint.
        trials: N of the ledger on this window with the round's sets among them.
        best: the best set with its metrics; None if none passed.
        distribution: quantiles and histograms of the metrics over all sets.
        input_version: hash of everything that went in.
    """

    round: str
    market_data: str
    instruments: Sequence[str]
    window: Window
    grid: Mapping[str, object]
    sets: int
    passed: int
    trials: int
    best: Mapping[str, object] | None
    distribution: Mapping[str, object]
    input_version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundReport:
    """A stored report of one round.

    Attributes:
        round: its name.
        report: as it was stored.
        input_version: hash of everything that went in.
        created_at: when it was stored.
    """

    round: str
    report: Mapping[str, object]
    input_version: str
    created_at: datetime


class RoundStore:
    """Rounds in PostgreSQL.

    Args:
        url: as role `helios_pipeline`.
    """

    def __init__(self, url: str) -> None:
        self._url = url

    def replace_sweep(self, sweep: SweepRound) -> None:
        """Store a round's sweep in place of an earlier one of that name.

        When it was made, and N of then, stay as they were: a repeated round tells the same trials again.
        """
        self._replace(
            "sweep_rounds",
            {
                "round": sweep.round,
                "market_data": sweep.market_data,
                "instruments": sorted(sweep.instruments),
                "window_first": sweep.window.first,
                "window_last": sweep.window.last,
                "grid": Jsonb(sweep.grid),
                "sets": sweep.sets,
                "passed": sweep.passed,
                "trials": sweep.trials,
                "best": None if sweep.best is None else Jsonb(sweep.best),
                "distribution": Jsonb(sweep.distribution),
                "input_version": sweep.input_version,
            },
            kept=("trials", "created_at"),
        )

    def sweep(self, name: str) -> SweepRound | None:
        """The sweep of a round, if it has run."""
        with transaction(self._url) as connection, connection.cursor(row_factory=dict_row) as cursor:
            row = cursor.execute("select * from sweep_rounds where round = %s", (name,)).fetchone()
        if row is None:
            return None
        window = Window(first=row.pop("window_first"), last=row.pop("window_last"))
        del row["created_at"]
        return SweepRound(window=window, **row)

    def rounds(self) -> list[str]:
        """Names of the rounds that have a sweep, newest first."""
        with transaction(self._url) as connection:
            rows = connection.execute("select round from sweep_rounds order by created_at desc, round").fetchall()
        return [str(name) for (name,) in rows]

    def replace_walk_forward(self, name: str, report: Mapping[str, object], input_version: str) -> None:
        """Store a round's walk-forward report in place of an earlier one."""
        self._replace_report("walk_forward_reports", name, report, input_version)

    def walk_forward(self, name: str) -> RoundReport | None:
        """The walk-forward report of a round, if it has one."""
        return self._report("walk_forward_reports", name)

    def replace_backtest(self, name: str, report: Mapping[str, object], input_version: str) -> None:
        """Store a round's backtest report in place of an earlier one."""
        self._replace_report("backtest_reports", name, report, input_version)

    def backtest(self, name: str) -> RoundReport | None:
        """The backtest report of a round, if it has one."""
        return self._report("backtest_reports", name)

    def _replace_report(
        self, table: LiteralString, name: str, report: Mapping[str, object], input_version: str
    ) -> None:
        self._replace(table, {"round": name, "report": Jsonb(report), "input_version": input_version})

    def _replace(self, table: LiteralString, values: Mapping[str, object], *, kept: Sequence[str] = ()) -> None:
        columns = sql.SQL(", ").join(map(sql.Identifier, values))
        changes = sql.SQL(", ").join(
            # A column that is not given has its default: created_at is now.
            sql.SQL("{0} = excluded.{0}").format(sql.Identifier(column))
            for column in (*values, "created_at")
            if column not in ("round", *kept)
        )
        statement = sql.SQL("insert into {} ({}) values ({}) on conflict (round) do update set {}").format(
            sql.Identifier(table), columns, sql.SQL(", ").join(sql.Placeholder() * len(values)), changes
        )
        with transaction(self._url) as connection:
            connection.execute(statement, tuple(values.values()))

    def _report(self, table: LiteralString, name: str) -> RoundReport | None:
        statement = sql.SQL("select report, input_version, created_at from {} where round = %s")
        with transaction(self._url) as connection:
            row = connection.execute(statement.format(sql.Identifier(table)), (name,)).fetchone()
        if row is None:
            return None
        report, input_version, created_at = cast(tuple[Mapping[str, object], str, datetime], row)
        return RoundReport(round=name, report=report, input_version=input_version, created_at=created_at)

"""`helios check bias`: whether a round deceives itself."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from helios_pipeline.cli.grid_file import GridFile, grid_overrides
from helios_pipeline.cli.research import REFUSED
from helios_pipeline.cli.terminal import First, Instruments, Last, err, open_database, out, settings_of, table

if TYPE_CHECKING:
    import dagster as dg

app = typer.Typer(no_args_is_help=True, help="Check what a result rests on.")

ROWS_SHOWN = 24
"""Of a check's evidence. `costs` with the shipped factors has 20 rows, and its verdict rests on the last ones."""

FORMS = {
    "net_return": "+.1%",
    "max_drawdown": ".1%",
    "win_rate": ".0%",
    "sharpe": ".2f",
    "best_sharpe": ".2f",
    "noise_would_score": ".2f",
    "deflated_sharpe": ".3f",
    "round_trips": ",.0f",
    "factor": "g",
}


class Check(StrEnum):
    """The checks by the names they have in Dagster."""

    look_ahead = "look_ahead"
    warm_up = "warm_up"
    costs = "costs"
    delay = "delay"
    shuffled_market = "shuffled_market"


@app.callback()
def _checks() -> None:
    """Check what a result rests on."""


@app.command(epilog="Example:  helios check bias costs delay --from 2025-01 --to 2025-06")
def bias(
    checks: Annotated[list[Check] | None, typer.Argument(help="Which. Default: all of them.")] = None,
    instruments: Instruments = None,
    first: First = None,
    last: Last = None,
    grid: GridFile = None,
) -> None:
    """Check the present round for self-deception; exit with 10 if a check fails.

    look_ahead: sets run again without the future. warm_up: with no more history than their windows need. costs: the
    candidate with dearer fees, slippage and funding. delay: with late orders. shuffled_market: the round's sets on
    markets made of the same bars in random order, in which they must find nothing. Each shows in the UI, beside the
    round, with its picture.
    """
    settings = settings_of(instruments, first, last, grid_overrides(grid))
    names = [check.value for check in Check if checks is None or check in checks]
    from helios_pipeline.cli.dagster import open_instance
    from helios_pipeline.definitions import build_research

    with open_database(settings) as database, err.status("Loading the round") as status:

        def tell(step: str, done: int, total: int) -> None:
            status.update(f"{step.replace('_', ' ')}: {done:,} of {total:,}")

        given = build_research(settings, database_url=database.urls.pipeline, progress=tell)
        from jobs.bias import run_bias_checks

        with open_instance(settings, database.urls.dagster) as instance:
            evaluations = run_bias_checks(given, instance, names)
    _show(evaluations)
    if not all(evaluation.passed for evaluation in evaluations):
        raise typer.Exit(REFUSED)


def _show(evaluations: "list[dg.AssetCheckEvaluation]") -> None:
    shown = table("Bias checks", "check", "verdict", "what was found")
    for evaluation in evaluations:
        verdict = "[green]passed[/]" if evaluation.passed else "[red]failed[/]"
        shown.add_row(evaluation.check_name.replace("_", " "), verdict, evaluation.description or "")
    out.print(shown)
    for evaluation in evaluations:
        evidence: Any = evaluation.metadata["rows"]
        _show_rows(evaluation.check_name, [dict(row.data) for row in evidence.records])


def _show_rows(name: str, rows: list[dict[str, Any]]) -> None:
    """The evidence; of re-runs only what changed, since all others say the same."""
    if "changed" in rows[0]:
        rows = [row for row in rows if row["changed"] is not None]
    if not rows:
        return
    shown = table(name.replace("_", " ").capitalize(), *(column.replace("_", " ") for column in rows[0]))
    for row in rows[:ROWS_SHOWN]:
        shown.add_row(*(_cell(column, value) for column, value in row.items()))
    out.print(shown)
    if len(rows) > ROWS_SHOWN:
        out.print(f"{len(rows) - ROWS_SHOWN} more rows are left out; the check in `helios dagster` lists them.")


def _cell(column: str, value: Any) -> str:  # noqa: ANN401 - a cell of any column
    if value is None:
        return "none"
    return format(value, FORMS[column]) if column in FORMS else str(value)

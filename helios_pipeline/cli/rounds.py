"""`helios rounds`: what each round of a search found, and the round that it proposes next."""

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from helios_pipeline.cli.terminal import open_database, out, settings_of, table
from helios_pipeline.core.errors import SettingsError
from helios_pipeline.core.past_rounds import PastRound
from helios_pipeline.settings import Settings

if TYPE_CHECKING:
    from helios_pipeline.sweep.proposal import Proposal
    from helios_pipeline.sweep.search import Search

app = typer.Typer(help="The rounds of the search: what each found, and what it proposes next.")

Name = Annotated[str | None, typer.Argument(help="A round, as `helios rounds` lists it. Default: the newest.")]
NAMED = "Give a name that `helios rounds` lists."
COUNT = re.compile("([a-z_]+)=([0-9]{1,3})")


@app.callback(invoke_without_command=True)
def rounds(context: typer.Context) -> None:
    """List every round, the oldest first: sets, how many passed, the best, and what noise would have scored."""
    if context.invoked_subcommand is not None:
        return
    from helios_pipeline.reports.figures.convergence import luck_by_round

    past = _past_rounds(settings_of())
    if not past:
        out.print("No round has run yet. `helios sweep` runs one.", highlight=False)
        return
    shown = table(
        "Rounds", "round", "made", "sampler", "sets", "passed", "best ProScore2", "best Sharpe", "noise would score"
    )
    for each, luck in zip(past, luck_by_round(past), strict=True):
        shown.add_row(
            each.name,
            f"{each.made_at:%Y-%m-%d %H:%M}",
            each.sampler,
            f"{each.sets:,}",
            f"{each.passed:,} ({each.pass_rate:.1%})",
            f"{each.best_proscore2:.1f}",
            "none" if each.best_sharpe is None else f"{each.best_sharpe:.2f}",
            f"{luck:.2f}",
        )
    out.print(shown)
    out.print(
        "Noise: the best Sharpe to expect of all trials until then on bars of that window if none had skill. "
        "`helios rounds show` prints what a round proposes, `helios rounds write FILE` makes it a file.",
        highlight=False,
    )


@app.command(epilog="Example:  helios rounds show 2024-01_2025-06_1a2b3c4d")
def show(name: Name = None) -> None:
    """Show the round that a round proposes next: values, steps, reasons, and its price in Sharpe."""
    settings = settings_of()
    past = _find(_past_rounds(settings), name)
    proposal = past.proposal
    if proposal["grid"] is None:
        out.print(f"{past.name} proposes no next round: {proposal['reason']}.", highlight=False, soft_wrap=True)
        return
    shown = table(f"Proposed after {past.name}", "parameter", "before", "after", "step", "why")
    for axis in proposal["axes"]:
        before, after = (", ".join(f"{value:g}" for value in axis[key]) for key in ("before", "after"))
        shown.add_row(axis["parameter"], before, after, f"{axis['step']:g}", axis["reason"])
    out.print(shown)
    reason = proposal["reason"]
    out.print(f"{reason[:1].upper()}{reason[1:]}.", highlight=False, soft_wrap=True)
    out.print(_price(settings, past, _proposal(settings, past).sets), highlight=False, soft_wrap=True)


@app.command(epilog="Example:  helios rounds write next.toml --values entry_z=9 --values cooldown_bars=1")
def write(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="Where to.")],
    name: Name = None,
    values: Annotated[
        list[str] | None,
        typer.Option(metavar="PARAMETER=COUNT", help="How many values a parameter gets; 1 keeps the best set's."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
) -> None:
    """Write the proposed round to a file that you edit and run with `helios sweep --grid FILE`."""
    from helios_pipeline.sweep.proposal import proposal_text

    settings = settings_of()
    past = _find(_past_rounds(settings), name)
    if past.proposal["grid"] is None:
        raise SettingsError(
            f"rounds write: expected a round with a proposal, found that {past.name} has none: "
            f"{past.proposal['reason']}. Change [grid] in helios.toml to search elsewhere."
        )
    proposal = _proposal(settings, past)
    if values:
        proposal = _with_counts(settings, past, proposal, [_count(text) for text in values])
    _write(path, proposal_text(proposal), force=force)
    out.print(f"{path}: {proposal.sets:,} sets. Edit it, then: helios sweep --grid {path}", highlight=False)
    out.print(_price(settings, past, proposal.sets), highlight=False, soft_wrap=True)


def _write(path: Path, text: str, *, force: bool) -> None:
    # What is no file is not replaced either way, and says itself what it is.
    mode = "w" if force or path.is_dir() else "x"
    try:
        with path.open(mode, encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise SettingsError(
            f"rounds write: expected no file at {path}, found one, which may have been edited. Name another file, or "
            "pass --force to replace it."
        ) from None
    except OSError as error:
        raise SettingsError(
            f"rounds write: expected a place for a file at {path}, found: {error.strerror}. Name a file in a folder "
            "that exists and can be written to."
        ) from None


def _past_rounds(settings: Settings) -> list[PastRound]:
    from helios_pipeline.adapters.postgres.round_history import RoundHistory

    with open_database(settings) as database:
        return RoundHistory(database.urls.pipeline).rounds()


def _find(past: list[PastRound], name: str | None) -> PastRound:
    found = [each for each in past if name in (None, each.name)]
    if not found:
        known = ", ".join(each.name for each in past) or "none: `helios sweep` runs one"
        raise SettingsError(f"round: expected one that has run, found {known}. {NAMED}")
    return found[-1]


def _proposal(settings: Settings, past: PastRound) -> "Proposal":
    from helios_pipeline.sweep.grid import Grid
    from helios_pipeline.sweep.proposal import Proposal

    return Proposal(
        after=past.name,
        grid=Grid.from_values(past.proposal["grid"]),
        search=_search(settings, past),
        reason=past.proposal["reason"],
        axes={axis["parameter"]: axis["reason"] for axis in past.proposal["axes"]},
    )


def _search(settings: Settings, past: PastRound) -> "Search":
    from helios_pipeline.sweep.search import Search

    # A round is continued in the way in which it was searched.
    return replace(Search(**settings.search.model_dump()), sampler=past.sampler)  # type: ignore[arg-type]


def _with_counts(
    settings: Settings, past: PastRound, proposal: "Proposal", counts: list[tuple[str, int]]
) -> "Proposal":
    """The proposal made again from the round's sets, with other numbers of values."""
    import numpy as np

    from helios_pipeline.adapters.lake.store import Lake
    from helios_pipeline.core.selection import Constraints
    from helios_pipeline.sweep.grid import Grid
    from helios_pipeline.sweep.narrowing import NoNextGrid, propose_next_grid
    from helios_pipeline.sweep.rounds import RoundResult

    lake = Lake(str(settings.lake_folder(past.market_data)))
    # The frame first: where the lake lacks the round there are no facts either, and only the frame's absence is said.
    metrics = lake.read_named("sweep_results", past.name).drop("blocks")
    facts: dict[str, Any] = lake.facts_named("sweep_results", past.name)
    result = RoundResult(
        name=past.name,
        grid=Grid.from_values(past.grid),
        window=past.window,
        constraints=Constraints(**facts["constraints"]),
        metrics=metrics,
        blocks=np.empty((0, 0, 3)),
        best=facts["best_row"],
    )
    found = propose_next_grid(result, dict(counts), purge_bars=settings.walk_forward.purge_bars)
    if isinstance(found, NoNextGrid):
        raise SettingsError(f"rounds write: expected a proposal, found none: {found.reason}.")
    axes = {axis.parameter: axis.reason for axis in found.axes}
    return replace(proposal, grid=found.grid, reason=found.reason, axes=axes)


def _count(text: str) -> tuple[str, int]:
    given = COUNT.fullmatch(text)
    if given is None:
        raise SettingsError(
            f"--values: expected PARAMETER=COUNT such as entry_z=6, with a count of three digits at most, found {text}."
        )
    return given[1], int(given[2])


def _price(settings: Settings, past: PastRound, sets: int) -> str:
    """What so many more sets would cost, in the Sharpe that is required afterwards."""
    from helios_pipeline.adapters.postgres.ledger import LedgerStore
    from helios_pipeline.promotion.price import count_at_most, price_search
    from helios_pipeline.walk_forward.folds import FoldLengths

    with open_database(settings) as database:
        trials = LedgerStore(database.urls.pipeline).count_trials(past.market_data, list(past.instruments), past.window)
    days = (past.window.last - past.window.first).days
    lengths = FoldLengths(**settings.walk_forward.model_dump())
    price = price_search(
        days=days,
        trials=trials,
        more=count_at_most(_search(settings, past), sets, days=days, lengths=lengths),
        threshold=settings.gates.min_deflated_sharpe,
    )
    return f"{sets:,} sets. No price below 60 days." if price is None else price.sentence()

"""`helios research`, its steps one by one, and `helios demo`."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from helios_pipeline.cli.grid_file import GridFile, grid_overrides
from helios_pipeline.cli.progress import Bars, open_progress
from helios_pipeline.cli.terminal import First, Instruments, Last, open_database, out, settings_of
from helios_pipeline.core.keys import PIPELINE_NETWORK
from helios_pipeline.settings import Settings

if TYPE_CHECKING:
    from assets.research import Research
    from helios_pipeline.adapters.postgres.promotions import StoredDecision

REFUSED = 10
"""Exit code of a refusal, where `--require-champion` asks for one."""

RAW = ("raw_klines", "raw_funding_rates", "raw_open_interest")
DECISION = ("promoted_parameters", "round_report", "champion_report")
EVERY_STEP = (
    *RAW, "bars_15m", "funding_features", "data_quality_report", "sweep_results", "walk_forward_report",
    "backtest_report", *DECISION,
)  # fmt: skip

Refresh = Annotated[bool, typer.Option("--refresh", help="Ask the archive again even about months that are final.")]

Cluster = Annotated[
    str | None,
    typer.Option(
        "--cluster", metavar="tcp://HOST:PORT", help="A Dask scheduler whose workers evaluate the sets. Default: here."
    ),
]

EXAMPLES = """Examples:

helios research

helios research --instruments BTCUSDT-PERP.BINANCE,ETHUSDT-PERP.BINANCE --from 2024-01 --to 2025-06

HELIOS_ARCHIVE_URL=file:///srv/binance helios research --from 2025-01 --to 2025-06"""

DATA_STEPS = {
    "ingest": (RAW, "Download, verify and store klines, funding rates and open interest."),
    "bars": (("bars_15m",), "Make validated 15-minute bars from what was ingested; gaps are listed, never filled."),
    "features": (("funding_features",), "Make the features that were known at each bar's close."),
}
"""Of the market data."""

ROUND_STEPS = {
    "sweep": (("sweep_results",), "Evaluate every parameter set of the grid, and count each in the ledger."),
    "walk-forward": (("walk_forward_report",), "Judge the round's procedure on bars it had not seen, fold by fold."),
}
"""Of a round, which a file may describe and a cluster may evaluate."""


def add_commands(app: typer.Typer) -> None:
    """Add this module's commands."""
    app.command(epilog=EXAMPLES)(research)
    for name, (steps, text) in (*DATA_STEPS.items(), *ROUND_STEPS.items()):
        command = _round_command(steps) if name in ROUND_STEPS else _command(steps)
        app.command(name, help=text, epilog=_example(name))(command)
    app.command(epilog=_example("backtest"))(backtest)
    app.command(epilog="Example:  helios demo   (or `make demo` on a fresh machine)")(demo)


def research(  # noqa: PLR0913 - one for each option
    instruments: Instruments = None,
    first: First = None,
    last: Last = None,
    refresh: Refresh = False,
    grid: GridFile = None,
    cluster: Cluster = None,
    require_champion: Annotated[
        bool, typer.Option("--require-champion", help=f"Exit with {REFUSED} when the outcome is a refusal.")
    ] = False,
) -> None:
    """From Binance history to a signed champion, or a refusal that names the gate.

    Downloads and verifies what is missing, makes bars and features, sweeps the grid, walks forward, re-runs the
    finalists in NautilusTrader, and decides. Steps whose inputs have not changed are skipped; a run that was stopped
    goes on where it was.
    """
    settings = settings_of(instruments, first, last, grid_overrides(grid))
    promoted = run(settings, EVERY_STEP, refresh=refresh, cluster=cluster)
    if require_champion and not promoted:
        raise typer.Exit(REFUSED)


def backtest(
    instruments: Instruments = None,
    first: First = None,
    last: Last = None,
    refresh: Refresh = False,
    grid: GridFile = None,
) -> None:
    """Re-run the round's finalists in NautilusTrader and compare every fill."""
    run(settings_of(instruments, first, last, grid_overrides(grid)), ("backtest_report",), refresh=refresh)


def demo() -> None:
    """The main job on a simulated market: offline, in a home of its own, no price of it real.

    Starts a simulated Binance on this machine and runs the unchanged pipeline with the unchanged gates on what it
    publishes. Then shows the live side: both venues, heard and traded on by clients that know nothing of them.
    """
    from helios_pipeline.cli.live_side import show_live_side
    from helios_pipeline.cli.simulated import simulated_market
    from simulated_venues.binance.settings import BinanceSettings
    from simulated_venues.process import venue_process
    from simulated_venues.process_settings import ProcessSettings

    settings = settings_of()
    market, home = settings.simulated_market, settings.home / "demo"
    out.print(f"[bold]Simulated market, seed {market.seed}: none of these prices is real.[/]", highlight=False)
    described = ProcessSettings(venue=BinanceSettings(), market=simulated_market(settings).settings)
    with venue_process(described) as binance:
        out.print(f"Simulated Binance on {binance.url}: its archive and its REST interface.", highlight=False)
        overrides: dict[tuple[str, str], Any] = {
            ("paths", "home"): str(home),
            ("data", "archive_url"): binance.url,
            ("data", "rest_url"): binance.url,
        }
        run(settings_of(None, market.first_month, market.last_month, overrides), EVERY_STEP)
    show_live_side(settings, seed=market.seed)
    out.print(
        f"Simulated data: the market has a planted edge worth a net Sharpe of about {market.planted_sharpe:g}; "
        "a real one does not say. Next: `helios research` on real history, `helios simulate` for the venues.",
        highlight=False,
    )


def run(settings: Settings, steps: Sequence[str], *, refresh: bool = False, cluster: str | None = None) -> bool:
    """Run steps, say what each did, and show the outcome; returns whether there is a champion to show for it.

    Args:
        settings: what is in force.
        steps: assets, in order.
        refresh: ask the archive again even about months that are final.
        cluster: address of a Dask scheduler whose workers evaluate parameter sets; None for threads here.
    """
    if "sweep_results" in steps and cluster is None:
        from helios_pipeline.cli.ahead import compile_ahead

        compile_ahead(len(settings.research.instruments))
    from helios_pipeline.cli.dagster import open_instance
    from helios_pipeline.definitions import build_research, require_cluster, workers_of

    if cluster is not None:
        require_cluster(cluster)
    with open_database(settings) as database, open_progress() as progress:
        bars = Bars(progress)
        given = build_research(
            settings, database_url=database.urls.pipeline, refresh=refresh, progress=bars.step, downloads=bars
        )
        if cluster is not None:
            given = replace(given, open_workers=workers_of(cluster))
        from jobs.research import current_decision, run_steps

        with open_instance(settings, database.urls.dagster) as instance:
            out.print(f"Market data: {given.market_data}. {database.describe}.", highlight=False)
            for outcome in run_steps(given, instance, steps, announce=lambda step: _price(given, step)):
                bars.clear()
                _say(outcome.step, outcome.made, outcome.unchanged, outcome.seconds)
        progress.stop()
        return _conclude(given, steps, current_decision)


def _command(steps: tuple[str, ...]) -> Any:  # noqa: ANN401 - typer reads its signature
    def command(
        instruments: Instruments = None, first: First = None, last: Last = None, refresh: Refresh = False
    ) -> None:
        run(settings_of(instruments, first, last), steps, refresh=refresh)

    return command


def _round_command(steps: tuple[str, ...]) -> Any:  # noqa: ANN401 - typer reads its signature
    def command(
        instruments: Instruments = None,
        first: First = None,
        last: Last = None,
        refresh: Refresh = False,
        grid: GridFile = None,
        cluster: Cluster = None,
    ) -> None:
        settings = settings_of(instruments, first, last, grid_overrides(grid))
        run(settings, steps, refresh=refresh, cluster=cluster)

    return command


def _example(name: str) -> str:
    return f"Example:  helios {name} --from 2025-01 --to 2025-06"


def _price(given: "Research", step: str) -> None:
    """Say what a round costs in Sharpe ratio while it can still be stopped."""
    if step == "sweep_results":
        from assets.rounds import plan_round
        from helios_pipeline.cli.report import show_price

        show_price(given, plan_round(given))


def _say(step: str, made: int, unchanged: int, seconds: float) -> None:
    parts = [f"{made} made"] if made else []
    parts += [f"{unchanged} unchanged, skipped"] if unchanged else []
    out.print(f"  {step:<20} {', '.join(parts) or 'nothing to do':<34} {seconds:6.1f} s", highlight=False)


def _conclude(given: "Research", steps: Sequence[str], current_decision: Any) -> bool:  # noqa: ANN401
    """Show what the steps came to; returns whether they ended in a promotion."""
    from assets.rounds import plan_round
    from helios_pipeline.cli.report import (
        show_agreement,
        show_data,
        show_decision,
        show_report,
        show_round,
        show_walk_forward,
    )

    # Of the whole job the gates say what these two found.
    alone = {"walk_forward_report": show_walk_forward, "backtest_report": show_agreement}
    if len(steps) == 1 and steps[0] in alone:
        alone[steps[0]](given, plan_round(given))
    if "bars_15m" in steps:
        show_data(given)
    if not {"sweep_results", "promoted_parameters"} & set(steps):
        return False
    plan = plan_round(given)
    show_round(given, plan)
    decision: StoredDecision | None = current_decision(given, plan) if "promoted_parameters" in steps else None
    if decision is None:
        return False
    promoted = decision.decision.decision == "promoted"
    if promoted:
        _bring_file_up_to_date(given)
    show_decision(given, decision)
    show_report(given, plan)
    return promoted


def _bring_file_up_to_date(given: "Research") -> None:
    from helios_pipeline.adapters.postgres.promotions import PromotionStore
    from helios_pipeline.cli.champion_file import bring_file_up_to_date

    on_record = PromotionStore(given.database()).champions(PIPELINE_NETWORK)
    bring_file_up_to_date(given.settings.home, PIPELINE_NETWORK, on_record)

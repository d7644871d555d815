"""The sets that the folds of a search that learns try beside those of the round: trials like any other."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import polars as pl

from assets.research import Research
from assets.rounds import RoundPlan
from assets.sweep_chunks import block_column, blocks_of
from helios_pipeline.adapters.postgres.ledger import LedgerStore
from helios_pipeline.core.ledger import Trials
from helios_pipeline.core.records import Window
from helios_pipeline.sweep.ledger import TrialPlace, measured_trials
from helios_pipeline.sweep.run import Sweep

_ASSET = "walk_forward_trials"
_WINDOW = ("window_first", "window_last")


@contextmanager
def keep_fold_trials(research: Research, plan: RoundPlan, version: str) -> Iterator[Callable[[Window, Sweep], None]]:
    """What takes the folds' sets: each batch goes into the ledger at once, all of them into the lake at the end.

    The folds of a grid, or of sets drawn at random, try those of the round again, which are counted already.

    Args:
        research: lake and database.
        plan: the round.
        version: of the walk-forward report.
    """
    if not plan.search.adaptive:
        yield lambda _window, _sweep: None
        return
    kept: list[pl.DataFrame] = []
    with LedgerStore(research.database()).recorder() as record:

        def keep(window: Window, sweep: Sweep) -> None:
            ends = (pl.lit(end).alias(name) for name, end in zip(_WINDOW, (window.first, window.last), strict=True))
            frame = sweep.metrics.with_columns(block_column(sweep.blocks), *ends)
            record(_trials(research, plan, frame))
            kept.append(frame)

        yield keep
    research.lake.replace_named(_ASSET, plan.name, pl.concat(kept), version=version, facts={})


def stored_fold_trials(research: Research, plan: RoundPlan) -> Iterator[Trials]:
    """The folds' sets as they were kept, fold by fold; none where the search does not learn or did not run."""
    if research.lake.version_named(_ASSET, plan.name) is not None:
        stored = research.lake.read_named(_ASSET, plan.name)
        yield from (_trials(research, plan, frame) for frame in stored.partition_by(_WINDOW, maintain_order=True))


def _trials(research: Research, plan: RoundPlan, frame: pl.DataFrame) -> Trials:
    first, last = (frame[name][0] for name in _WINDOW)
    place = TrialPlace(round=plan.name, window=Window(first=first, last=last), market_data=research.market_data)
    return measured_trials(frame, blocks_of(frame), plan.context, place)

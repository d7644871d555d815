"""A round evaluated chunk by chunk: each is counted and stored as it is finished, so a killed round goes on."""

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np
import polars as pl

from assets.research import Research
from assets.rounds import RoundPlan, load_inputs
from assets.sweep_chunks import SweepChunks
from helios_pipeline.adapters.postgres.ledger import LedgerStore
from helios_pipeline.core.ledger import Trials
from helios_pipeline.core.version import content_version
from helios_pipeline.simulation.arrays import Records
from helios_pipeline.simulation.inputs import SimulationInputs
from helios_pipeline.simulation.kernel import Evaluation
from helios_pipeline.simulation.summary import BLOCKS, METRICS
from helios_pipeline.sweep.ledger import TrialPlace, make_trials
from helios_pipeline.sweep.points import chunk_rows, points_frame
from helios_pipeline.sweep.rounds import RoundResult, judge_round
from helios_pipeline.sweep.run import Progress, Sweep, Workers, iter_chunks
from helios_pipeline.sweep.samplers import batches
from helios_pipeline.sweep.search import Batches

CHUNK_SIZE = 512
"""Sets in one task: some tenths of a second of work, so that price scores are shared and progress still moves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Given:
    """What every batch of a round is evaluated with."""

    plan: RoundPlan
    inputs: SimulationInputs
    pool: Executor
    progress: Progress
    chunks: SweepChunks
    record: Callable[[Trials], int]
    place: TrialPlace


def run_round(research: Research, plan: RoundPlan, version: str, progress: Progress) -> RoundResult:
    """Evaluate and judge every set of the round on its window.

    A finished chunk is entered in the ledger, then stored: a set that anyone could have seen has been counted. A round
    that was killed evaluates the chunks that it had not finished, and ends with the same result.

    Args:
        research: lake, database and settings.
        plan: the round.
        version: of everything that goes into it.
        progress: called with the sets that are done and the sets in all, first with what was done before.
    """
    inputs = load_inputs(research, plan, plan.window)
    with (
        LedgerStore(research.database()).recorder() as record,
        research.open_workers(inputs) as pool,
    ):
        given = _Given(
            plan=plan,
            inputs=inputs,
            pool=pool,
            progress=progress,
            chunks=chunks_of(research, plan, version),
            record=record,
            place=TrialPlace(round=plan.name, window=plan.window, market_data=research.market_data),
        )
        records, evaluation = _evaluate_batches(given)
    metrics = pl.concat([points_frame(records), evaluation.metrics], how="horizontal")
    sweep = Sweep(metrics=metrics, blocks=evaluation.blocks)
    return judge_round(
        plan.name, sweep, grid=plan.grid, window=plan.window, constraints=plan.constraints, search=plan.search
    )


def chunks_of(research: Research, plan: RoundPlan, version: str) -> SweepChunks:
    """Where the finished chunks of a round are until the round is stored."""
    return SweepChunks(research.lake, plan.name, content_version("chunks", "1", sweep=version, size=CHUNK_SIZE))


def _evaluate_batches(given: _Given) -> tuple[Records, Evaluation]:
    """Every set of the round; a batch may depend on the results of those before it."""
    search = given.plan.search
    sets = search.sets if search.sampled else given.plan.grid.size
    whole = Evaluation(rows=np.empty((sets, len(METRICS))), blocks=np.empty((sets, BLOCKS, 3)))
    proposing = batches(given.plan.grid, search)
    batch: Records | None = next(proposing)
    seen: list[Records] = []
    chunks = done = 0
    while batch is not None:
        part = slice(done, done + len(batch))
        results = Evaluation(rows=whole.rows[part], blocks=whole.blocks[part])
        chunks += _evaluate_batch(given, batch, results, before=(chunks, done, sets))
        done += len(batch)
        seen.append(batch)
        batch = _following(proposing, results)
    return np.concatenate(seen), whole


def _following(proposing: Batches, results: Evaluation) -> Records | None:
    try:
        return proposing.send(results.rows)
    except StopIteration:
        return None


def _evaluate_batch(given: _Given, batch: Records, results: Evaluation, *, before: tuple[int, int, int]) -> int:
    """Fill a batch's results, from the chunks that are stored and by evaluating the others; returns how many there are.

    Args:
        given: what it is evaluated with.
        batch: its sets.
        results: where they go.
        before: chunks and sets of the batches before, and the sets of the round.
    """
    first, done, sets = before
    chunks = chunk_rows(batch, CHUNK_SIZE)

    def keep(number: int, part: Evaluation) -> None:
        rows = chunks[number]
        results.rows[rows], results.blocks[rows] = part.rows, part.blocks
        given.record(make_trials(batch[rows], part, given.plan.context, given.place))

    def tell(done_of_batch: int, _: int) -> None:
        given.progress(done + done_of_batch, sets)

    stored = set()
    for number in range(len(chunks)):
        part = given.chunks.load(first + number)
        if part is not None:
            # Counted again, which changes nothing: the database may be another than the one that the killed run knew.
            keep(number, part)
            stored.add(number)
    tell(sum(len(chunks[number]) for number in stored), sets)
    workers = Workers(executor=given.pool, chunk_size=CHUNK_SIZE, progress=tell)
    start, stop = given.inputs.first_slot, len(given.inputs.opened_at)
    for number, part in iter_chunks(given.inputs, batch, start=start, stop=stop, workers=workers, skip=stored):
        keep(number, part)
        given.chunks.store(first + number, part)
    return len(chunks)

"""A stored round entered again in the database: what the lake knows, and a new or emptied database does not."""

from assets.fold_trials import stored_fold_trials
from assets.research import Research
from assets.rounds import RoundPlan
from assets.sweep import SETS_IN_ROW_GROUP, load_round, record_summary
from helios_pipeline.adapters.postgres.ledger import LedgerStore
from helios_pipeline.adapters.postgres.rounds import RoundStore
from helios_pipeline.sweep.ledger import TrialPlace, measured_trials


def is_on_record(research: Research, plan: RoundPlan) -> bool:
    """Whether the database knows the round; its trials are entered before its row is."""
    return RoundStore(research.database()).sweep(plan.name) is not None


def recount_round(research: Research, plan: RoundPlan) -> None:
    """Enter a stored round's trials in the ledger, and its row and reports where there are none.

    A step whose inputs have not changed is not run again, whatever database is in use: without this the sets of a
    stored round would be trials that nobody counted. What is there already stays as it is.

    Raises:
        DataError: the round has not run.
    """
    _enter_trials(research, plan)
    if not is_on_record(research, plan):
        name = "sweep_results"
        facts, version = research.lake.facts_named(name, plan.name), research.lake.version_named(name, plan.name)
        record_summary(research, plan, facts, str(version))
    _enter_reports(research, plan)


def _enter_trials(research: Research, plan: RoundPlan) -> None:
    result = load_round(research, plan)
    place = TrialPlace(round=plan.name, window=plan.window, market_data=research.market_data)
    with LedgerStore(research.database()).recorder() as record:
        for first in range(0, result.metrics.height, SETS_IN_ROW_GROUP):
            part, blocks = (
                result.metrics.slice(first, SETS_IN_ROW_GROUP),
                result.blocks[first : first + SETS_IN_ROW_GROUP],
            )
            record(measured_trials(part, blocks, plan.context, place))
        for trials in stored_fold_trials(research, plan):
            record(trials)


def _enter_reports(research: Research, plan: RoundPlan) -> None:
    store = RoundStore(research.database())
    for name, stored, replace in (
        ("walk_forward_report", store.walk_forward, store.replace_walk_forward),
        ("backtest_report", store.backtest, store.replace_backtest),
    ):
        version = research.lake.version_named(name, plan.name)
        if version is not None and stored(plan.name) is None:
            replace(plan.name, research.lake.facts_named(name, plan.name), version)

"""The bias checks of the present round, run in this process and recorded where the UI shows them."""

from collections.abc import Sequence

import dagster as dg

from assets.bias import BIAS_CHECKS
from assets.current import require_current
from assets.research import Research
from assets.rounds import plan_round
from assets.sweep import sweep_results
from jobs.abandoned import end_abandoned_runs, run_tags
from jobs.research import ALL_ASSETS, QUIET


def run_bias_checks(
    research: Research, instance: dg.DagsterInstance, names: Sequence[str]
) -> list[dg.AssetCheckEvaluation]:
    """Run some of the checks of `assets.bias.DESCRIPTIONS` on the round that the settings in force describe.

    Raises:
        DataError: its sweep has not run on the data that is stored now.
    """
    plan = plan_round(research)
    require_current(research, plan, "bias checks", ["sweep_results"])
    end_abandoned_runs(instance)
    result = dg.materialize(
        [*ALL_ASSETS, *BIAS_CHECKS],
        selection=dg.AssetSelection.checks(*(dg.AssetCheckKey(sweep_results.key, name) for name in names)),
        instance=instance,
        resources={"research": research},
        tags=run_tags(),
        run_config=QUIET,
    )
    return list(result.get_asset_check_evaluations())

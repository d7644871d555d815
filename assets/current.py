"""Whether the parts of a round were made from what is stored and set now: parts of different times are no evidence."""

from collections.abc import Callable, Sequence

from assets.backtest import backtest_version, disagreement_version
from assets.research import Research
from assets.rounds import RoundPlan
from assets.sweep import sweep_version
from assets.walk_forward import walk_forward_version
from helios_pipeline.core.errors import DataError

PARTS: dict[str, tuple[str, Callable[[Research, RoundPlan], str]]] = {
    "sweep_results": ("sweep", sweep_version),
    "walk_forward_report": ("walk-forward", walk_forward_version),
    "backtest_report": ("backtest", backtest_version),
}
"""Each part of a round: the command that makes it, and the version that it would have if it were made now."""


def require_current(research: Research, plan: RoundPlan, step: str, needs: Sequence[str]) -> None:
    """Refuse a round of which a part is missing or was made from other data or settings.

    Args:
        research: lake and settings.
        plan: the round.
        step: that needs the parts.
        needs: some of `PARTS`, each after what it is made from.

    Raises:
        DataError: names the first such part, and the command that makes it.
    """
    for need in needs:
        command, version = PARTS[need]
        found, expected = research.lake.version_named(need, plan.name), version(research, plan)
        # Engines that differ are a finding, which has a gate of its own.
        if found not in (expected, disagreement_version(expected)):
            what = "none" if found is None else "one made from other data or settings"
            raise DataError(
                f"{step}: expected {need} of round {plan.name} made from what is stored and set now, found {what}. "
                f"Run `helios {command}` first."
            )

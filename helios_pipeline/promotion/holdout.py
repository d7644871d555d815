"""The test on bars that nothing has read before: once per window, at a price that doubles with every look."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from helios_pipeline.core.records import Window
from helios_pipeline.core.selection import GateResult, HoldoutRules
from helios_pipeline.metrics.bootstrap import mean_above_zero_p_value

MOST_LOOKS = 3
"""From the fourth look at overlapping windows on, only new bars can be evidence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldoutRequest:
    """Which bars are to be looked at, and for whom.

    Attributes:
        market_data: identity of the data's source.
        instruments: ids, sorted.
        window: the holdout's bars.
        candidate_key: ledger key of the candidate.
    """

    market_data: str
    instruments: tuple[str, ...]
    window: Window
    candidate_key: str


class Look(Protocol):
    """One recorded look at a holdout window."""

    @property
    def look_id(self) -> int:
        """The record's key."""

    @property
    def k(self) -> int:
        """How many looks, this one included, these bars or some of them have had: 1 for the first."""

    @property
    def result(self) -> Mapping[str, object] | None:
        """What the look showed; None until it is finished."""


class HoldoutLooks(Protocol):
    """The record of looks, which outlives the process."""

    def find_look(
        self, market_data: str, instruments: tuple[str, ...], window: Window, candidate_key: str
    ) -> Look | None:
        """The finished look of this candidate at exactly this window, if there is one."""

    def begin_look(self, *, market_data: str, instruments: tuple[str, ...], window: Window, candidate_key: str) -> Look:
        """Record durably that a look begins; or the finished one of this candidate at exactly this window.

        A look that was begun and never finished counts like any other.
        """

    def finish_look(self, look_id: int, result: Mapping[str, object]) -> None:
        """Record what a look showed; JSON-able values."""


def look_at_holdout(
    looks: HoldoutLooks,
    request: HoldoutRequest,
    *,
    rules: HoldoutRules,
    searched: int,
    daily_returns: Callable[[], NDArray[np.float64]],
) -> GateResult:
    """Judge a candidate on the holdout, writing the look down before its result exists.

    A finished look of the same candidate at the same window is read, not repeated. Bars that a sweep has read are no
    holdout: no look is taken at them.

    Args:
        looks: the record.
        request: which bars, for whom.
        rules: of the test.
        searched: distinct sets of the ledger that were evaluated on some of the window's bars.
        daily_returns: computes the candidate's daily net returns on the holdout; called only after the look is
            written, and not at all if the look is refused.
    """
    found = looks.find_look(request.market_data, request.instruments, request.window, request.candidate_key)
    if searched and found is None:
        return _searched(searched)
    look = looks.begin_look(
        market_data=request.market_data,
        instruments=request.instruments,
        window=request.window,
        candidate_key=request.candidate_key,
    )
    if look.result is not None:
        return GateResult(**cast("dict[str, Any]", look.result["gate"]))
    if look.k > MOST_LOOKS:
        gate, facts = _refused(look.k), dict[str, object]()
    else:
        returns = daily_returns()
        gate = judge_holdout(returns, k=look.k, window=request.window, rules=rules)
        facts = {"days": len(returns), "net_return": net_return(returns)}
    looks.finish_look(look.look_id, {"k": look.k, "gate": asdict(gate), **facts})
    return gate


def judge_holdout(daily_returns: NDArray[np.float64], *, k: int, window: Window, rules: HoldoutRules) -> GateResult:
    """Net return above zero, and a p-value of the mean below significance / 2^k.

    Args:
        daily_returns: net returns of the window's whole days.
        k: which look at overlapping windows this is, from 1.
        window: named in the explanation.
        rules: of the test.
    """
    threshold = holdout_threshold(k, significance=rules.significance)
    p_value = mean_above_zero_p_value(
        daily_returns, block_days=rules.bootstrap_block_days, draws=rules.bootstrap_draws, seed=rules.seed
    )
    net = net_return(daily_returns)
    bars = f"{window.first:%Y-%m-%d} to {window.last:%Y-%m-%d} ({len(daily_returns)} days)"
    chance = "returns too few or too even to test" if np.isnan(p_value) else f"p = {p_value:.4f} that it is chance"
    return GateResult(
        name="holdout",
        passed=bool(net > 0 and p_value < threshold),
        value=p_value,
        rule="below",
        threshold=threshold,
        explanation=f"On the untouched bars of {bars} the candidate's net return was {net:+.2%}, {chance}; look {k} "
        f"needs a gain and p below {threshold:.4g}.",
    )


def holdout_threshold(k: int, *, significance: float) -> float:
    """Level of the k-th look: halved each time, so that all looks together stay below the significance."""
    return float(significance / 2**k)


def net_return(daily_returns: NDArray[np.float64]) -> float:
    """Compounded return of the days; 0 for none."""
    return float(np.prod(1.0 + daily_returns) - 1.0)


def _refused(k: int) -> GateResult:
    return _not_looked_at(
        f"this would be look {k} at these bars or some of them, and after {MOST_LOOKS} looks they are no evidence any "
        "more. Wait for new bars."
    )


def _searched(trials: int) -> GateResult:
    return _not_looked_at(
        f"{trials:,} trials of rounds that reach further have read these bars or some of them, so they are no "
        "untouched evidence. Search up to the latest bars, or wait for new ones."
    )


def _not_looked_at(reason: str) -> GateResult:
    return GateResult(
        name="holdout",
        passed=False,
        value=None,
        rule="below",
        threshold=None,
        explanation=f"Not looked at: {reason}",
    )

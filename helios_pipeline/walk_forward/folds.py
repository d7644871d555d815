"""Where each fold chooses and where it is judged."""

from dataclasses import dataclass
from typing import Literal

from helios_pipeline.core.errors import SettingsError
from helios_pipeline.metrics.sharpe import MIN_DAYS

Scheme = Literal["rolling", "anchored"]
"""Whether the in-sample part moves on with the fold, or always begins at the first bar and grows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldLengths:
    """How folds are laid.

    What lies between choosing and judging is the purge and then the embargo, together rounded up to whole days, so
    that judging starts at 00:00 UTC (López de Prado, Advances in Financial Machine Learning, 2018, chapter 7). Nothing
    has to be dropped after a judged part: no fold chooses on bars later than those it is judged on.

    Attributes:
        scheme: of the in-sample part.
        in_sample_days: whole UTC days that choose, of an anchored first fold the fewest; a Sharpe needs 60.
        purge_bars: bars after the in-sample part at which a position opened inside it could still be held, so at least
            the longest holding time.
        embargo_bars: further bars between, against dependence that outlasts a position.
        out_of_sample_days: whole UTC days that judge, and the step from one fold to the next.
    """

    scheme: Scheme
    in_sample_days: int
    purge_bars: int
    embargo_bars: int
    out_of_sample_days: int

    def __post_init__(self) -> None:
        """Refuse lengths that can choose or judge nothing."""
        allowed = {
            "scheme = rolling or anchored": self.scheme in ("rolling", "anchored"),
            f"in_sample_days ≥ {MIN_DAYS} (fewer give no Sharpe)": self.in_sample_days >= MIN_DAYS,
            "purge_bars ≥ 0": self.purge_bars >= 0,
            "embargo_bars ≥ 0": self.embargo_bars >= 0,
            "out_of_sample_days ≥ 1": self.out_of_sample_days >= 1,
        }
        if broken := [rule for rule, holds in allowed.items() if not holds]:
            raise SettingsError(f"walk_forward: expected {', '.join(broken)}, found {self}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fold:
    """Slots of one fold, each part half-open: in_sample_stop ≤ purged and embargoed slots < out_of_sample_start.

    Attributes:
        number: from 1.
        in_sample_start: first slot that chooses.
        in_sample_stop: slot after the last that chooses.
        out_of_sample_start: first slot that judges.
        out_of_sample_stop: slot after the last that judges.
    """

    number: int
    in_sample_start: int
    in_sample_stop: int
    out_of_sample_start: int
    out_of_sample_stop: int


def count_folds(days: int, lengths: FoldLengths, *, bars_per_day: int) -> int:
    """How many folds `lay_folds` lays over so many whole days; 0 if not one fits."""
    between = -(-(lengths.purge_bars + lengths.embargo_bars) // bars_per_day)
    return max(0, days - lengths.in_sample_days - between) // lengths.out_of_sample_days


def lay_folds(*, start: int, stop: int, bars_per_day: int, lengths: FoldLengths, max_holding_bars: int) -> list[Fold]:
    """Lay folds from `start` on, each one out-of-sample part later than the one before, as many as fit.

    Out-of-sample parts touch and never overlap. What does not fill a whole last part is left to no fold.

    Args:
        start: first slot, opened at 00:00 UTC.
        stop: slot after the last that may be read.
        bars_per_day: slots from one 00:00 UTC to the next.
        lengths: of every fold.
        max_holding_bars: the longest among the sets.

    Raises:
        SettingsError: the purge is shorter than the longest holding time, or not one fold fits.
    """
    if lengths.purge_bars < max_holding_bars:
        raise SettingsError(
            f"purge in fold: expected at least the longest max_holding_bars ({max_holding_bars}), "
            f"found purge_bars={lengths.purge_bars}. Lengthen the purge or shorten the holding time."
        )
    in_sample = lengths.in_sample_days * bars_per_day
    between = -(-(lengths.purge_bars + lengths.embargo_bars) // bars_per_day) * bars_per_day
    out_of_sample = lengths.out_of_sample_days * bars_per_day
    length = in_sample + between + out_of_sample
    if stop - start < length:
        raise SettingsError(
            f"bars in fold: expected at least {length}, found {max(stop - start, 0)} (in_sample={in_sample}, "
            f"purge and embargo={between}, out_of_sample={out_of_sample}). Shorten the windows or load more history."
        )
    return [
        Fold(
            number=number,
            in_sample_start=start if lengths.scheme == "anchored" else first,
            in_sample_stop=first + in_sample,
            out_of_sample_start=first + in_sample + between,
            out_of_sample_stop=first + length,
        )
        for number, first in enumerate(range(start, stop - length + 1, out_of_sample), start=1)
    ]

"""Where each fold chooses and where it is judged."""

from dataclasses import dataclass

from helios_pipeline.core.errors import SettingsError
from helios_pipeline.metrics.sharpe import MIN_DAYS


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldLengths:
    """Lengths of every fold.

    Attributes:
        in_sample_days: whole UTC days that choose; a Sharpe needs 60.
        embargo_bars: fewest bars dropped between choosing and judging; rounded up to whole days, so that judging
            starts at 00:00 UTC. At least the longest holding time, so that no position could span both parts.
        out_of_sample_days: whole UTC days that judge, and the step from one fold to the next.
    """

    in_sample_days: int
    embargo_bars: int
    out_of_sample_days: int

    def __post_init__(self) -> None:
        """Refuse lengths that can choose or judge nothing."""
        if self.in_sample_days < MIN_DAYS or self.embargo_bars < 0 or self.out_of_sample_days < 1:
            raise SettingsError(
                f"walk_forward: expected in_sample_days ≥ {MIN_DAYS} (fewer give no Sharpe), embargo_bars ≥ 0 and "
                f"out_of_sample_days ≥ 1, found {self}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Fold:
    """Slots of one fold, each part half-open: in_sample_stop ≤ embargoed slots < out_of_sample_start.

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


def rolling_folds(
    *, start: int, stop: int, bars_per_day: int, lengths: FoldLengths, max_holding_bars: int
) -> list[Fold]:
    """Lay folds from `start` on, each one out-of-sample part later than the one before, as many as fit.

    Out-of-sample parts touch and never overlap. What does not fill a whole last part is left to no fold.

    Args:
        start: first slot, opened at 00:00 UTC.
        stop: slot after the last that may be read.
        bars_per_day: slots from one 00:00 UTC to the next.
        lengths: of every fold.
        max_holding_bars: the longest in the grid.

    Raises:
        SettingsError: the embargo is shorter than the longest holding time, or not one fold fits.
    """
    if lengths.embargo_bars < max_holding_bars:
        raise SettingsError(
            f"embargo in fold: expected at least the longest max_holding_bars ({max_holding_bars}), "
            f"found embargo_bars={lengths.embargo_bars}. Lengthen the embargo or shorten the holding time."
        )
    in_sample = lengths.in_sample_days * bars_per_day
    embargo = -(-lengths.embargo_bars // bars_per_day) * bars_per_day
    out_of_sample = lengths.out_of_sample_days * bars_per_day
    length = in_sample + embargo + out_of_sample
    if stop - start < length:
        raise SettingsError(
            f"bars in fold: expected at least {length}, found {max(stop - start, 0)} (in_sample={in_sample}, "
            f"embargo={embargo}, out_of_sample={out_of_sample}). Shorten the windows or load more history."
        )
    return [
        Fold(
            number=number,
            in_sample_start=first,
            in_sample_stop=first + in_sample,
            out_of_sample_start=first + in_sample + embargo,
            out_of_sample_stop=first + length,
        )
        for number, first in enumerate(range(start, stop - length + 1, out_of_sample), start=1)
    ]

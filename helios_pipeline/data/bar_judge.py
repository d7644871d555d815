"""Which bars may be used, judged one by one as they close: `validate.validate_bars` for what comes live."""

from helios_pipeline.core.calendar import BAR_INTERVAL
from helios_pipeline.core.market_data import Candle
from helios_pipeline.data.validate import LEVEL_AFTER, SCALE_JUMP

_LONGEST_JUMP = LEVEL_AFTER // BAR_INTERVAL
"""Bars, of whatever length, after which a jump is the new level."""


class BarJudge:
    """Judges the bars of one instrument in order; each by those before it alone.

    The venue's raw klines are taken as they are: a spike in one of them is in its bar, as it is in the bar that the
    venue publishes itself.
    """

    def __init__(self) -> None:
        self._level: int | None = None
        self._run = 0

    def reason(self, bar: Candle) -> str:
        """Why a bar may not be used: `no_trades` or `scale_jump`; empty if it may."""
        if bar.volume == 0 and bar.high == bar.low:
            return "no_trades"
        level = self._level
        is_off = level is not None and (bar.low > SCALE_JUMP * level or bar.high * SCALE_JUMP < level)
        if is_off and self._run < _LONGEST_JUMP:
            self._run += 1
            return "scale_jump"
        self._level, self._run = bar.close, 0
        return ""

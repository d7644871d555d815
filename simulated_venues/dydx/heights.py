"""Which block an instant belongs to, also before the chain began and while it was away."""

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field

from simulated_venues.dydx.records import Moment


@dataclass(slots=True)
class Heights:
    """Known blocks in order; between two that are not neighbours blocks are taken as evenly spaced.

    Attributes:
        block_ms: usual time between blocks, for what lies before the first.
    """

    block_ms: int
    _heights: list[int] = field(default_factory=list)
    _times: list[int] = field(default_factory=list)
    _is_assumed: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether no block is known."""
        return not self._heights

    def assume(self, moment: Moment) -> None:
        """Count from a moment that is no block of the chain, until the first one is noted."""
        self._heights, self._times, self._is_assumed = [moment.height], [moment.at_ms], True

    def add(self, moment: Moment) -> None:
        """Note a block, in order of height; one that is known already is passed over."""
        if self._is_assumed:
            self._heights, self._times, self._is_assumed = [], [], False
        if self._heights and moment.height <= self._heights[-1]:
            return
        self._heights.append(moment.height)
        self._times.append(moment.at_ms)

    def at(self, at_ms: int) -> int:
        """Height of the first block at or after an instant, 1 or more."""
        place = bisect_left(self._times, at_ms)
        if not self._times:
            return 1
        if place == len(self._times):
            return self._heights[-1] + 1
        height, time_ms = self._heights[place], self._times[place]
        if place == 0:
            return max(1, height - (time_ms - at_ms) // self.block_ms)
        before, before_ms = self._heights[place - 1], self._times[place - 1]
        return height - (time_ms - at_ms) * (height - before) // max(1, time_ms - before_ms)

    def time_of(self, height: int) -> int:
        """When the last known block up to a height was made; before the first one, as if blocks were evenly spaced."""
        if not self._heights:
            return 0
        place = bisect_right(self._heights, height) - 1
        if place >= 0:
            return self._times[place]
        return self._times[0] - (self._heights[0] - height) * self.block_ms

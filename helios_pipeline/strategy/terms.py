"""What a champion lets the strategy trade, and how: a manifest's numbers as the compiled functions take them."""

from dataclasses import dataclass

from helios_pipeline.core.records import FeatureSettings
from helios_pipeline.strategy.allocation import Contracts, Limits
from helios_pipeline.strategy.parameters import ParameterSet
from helios_pipeline.strategy.signal import SignalRule


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Terms:
    """One champion, for the markets of one strategy.

    Attributes:
        manifest_hash: names the champion in records; empty in a backtest.
        parameters: the parameter set.
        features: settings of the features.
        limits: of the allocation.
        contracts: sizes, one `CONTRACT` a market: ticks are the signal's, lots the traded instrument's.
        traded: whether the champion was judged on that market; one that it was not enters nothing.
    """

    manifest_hash: str
    parameters: ParameterSet
    features: FeatureSettings
    limits: Limits
    contracts: Contracts
    traded: tuple[bool, ...]

    @property
    def rule(self) -> SignalRule:
        """The signal's numbers."""
        point = self.parameters
        return SignalRule(point.funding_weight, point.entry_z, point.exit_z, point.max_holding_bars)

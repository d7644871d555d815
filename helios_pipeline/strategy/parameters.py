"""One point of a grid, and its canonical form."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields

from helios_pipeline.core.errors import SettingsError

STRATEGY_VERSION = "mean_reversion_funding/1"
"""Grows when `decide`, `allocate` or a feature changes what would be traded; part of every ledger key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterSet:
    """What a sweep varies.

    Attributes:
        lookback_bars: bars in the price z-score, the deciding bar included.
        funding_weight: weight of the funding z-score in the signal `s`; 0 leaves funding out.
        entry_z: |s| that opens a position.
        exit_z: level of s that closes it; -entry_z < exit_z < entry_z.
        max_holding_bars: closed bars after which a position is closed whatever the signal.
        cooldown_bars: bars without entry after a stop or a max-holding exit.
        stop_atr: distance of the protective stop in ATRs of the decision bar; 0 for none.
    """

    lookback_bars: int
    funding_weight: float
    entry_z: float
    exit_z: float
    max_holding_bars: int
    cooldown_bars: int
    stop_atr: float

    def __post_init__(self) -> None:
        """Refuse a point that the signal does not define."""
        allowed = {
            "lookback_bars ≥ 2": self.lookback_bars >= 2,
            "entry_z > 0": self.entry_z > 0,
            "-entry_z < exit_z < entry_z": -self.entry_z < self.exit_z < self.entry_z,
            "max_holding_bars ≥ 1": self.max_holding_bars >= 1,
            "cooldown_bars ≥ 0": self.cooldown_bars >= 0,
            "stop_atr ≥ 0": self.stop_atr >= 0,
        }
        broken = [rule for rule, holds in allowed.items() if not holds]
        if broken:
            raise SettingsError(f"parameter set: expected {', '.join(broken)}; found {asdict(self)}")

    @property
    def canonical(self) -> str:
        """One spelling per set: JSON with sorted names and numbers as their types say."""
        typed = {field.name: field.type(getattr(self, field.name)) for field in fields(self)}  # type: ignore[operator]
        return json.dumps(typed, sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_mapping(cls, values: Mapping[str, object]) -> "ParameterSet":
        """Build a set from names and numbers, e.g. a manifest's.

        Raises:
            SettingsError: a name is missing or unknown, or a value is not allowed.
        """
        names = {field.name for field in fields(cls)}
        if set(values) != names:
            raise SettingsError(f"parameter set: expected {sorted(names)}, found {sorted(values)}")
        return cls(**{field.name: field.type(values[field.name]) for field in fields(cls)})  # type: ignore[operator]

"""What one market's strategy wants after a closed bar: compiled, and the same for kernel, backtest and engine."""

from typing import NamedTuple

from helios_pipeline.features.compiled import allocation_free

LONG, FLAT, SHORT = 1, 0, -1


class MarketState(NamedTuple):
    """What a market's decision depends on besides features.

    Attributes:
        position: −1, 0 or +1, as held when the bar closed.
        bars_held: bars closed since the entry fill, missing ones included.
        may_enter: whether the cooldown is over.
    """

    position: int
    bars_held: int
    may_enter: bool


class SignalRule(NamedTuple):
    """The numbers of a parameter set that make its signal; `ParameterSet` says what they mean."""

    funding_weight: float
    entry_z: float
    exit_z: float
    max_holding_bars: int


@allocation_free
def signal(z_price: float, z_funding: float, funding_weight: float) -> float:
    """`s = z_price + funding_weight · z_funding`; NaN if a part that counts has no value.

    A weight of 0 leaves funding out, so that its absence changes nothing.
    """
    if funding_weight == 0.0:
        return z_price
    return z_price + funding_weight * z_funding


@allocation_free
def decide(state: MarketState, z_price: float, z_funding: float, rule: SignalRule) -> int:
    """The side wanted from the next open on.

    Flat: long when `s ≤ −entry_z`, short when `s ≥ entry_z`, nothing in cooldown or without a signal. In a position:
    flat when it has lasted `max_holding_bars`, or when the level is reached (`s ≥ −exit_z` for a long, `s ≤ exit_z` for
    a short). A position is never reversed in one decision. Without a funding score it is judged by `z_price` alone;
    without a price score it stays.

    Args:
        state: the market as it was when the bar closed.
        z_price: price z-score of the bar, NaN for none (warm-up, missing bar).
        z_funding: funding z-score usable at the bar, NaN for none.
        rule: thresholds.

    Returns:
        −1, 0 or +1.
    """
    level = signal(z_price, z_funding, rule.funding_weight)
    if state.position == 0:
        # A comparison with NaN is false: no signal, no entry.
        if state.may_enter and level <= -rule.entry_z:
            return 1
        if state.may_enter and level >= rule.entry_z:
            return -1
        return 0
    if level != level:
        level = z_price
    reverted = level >= -rule.exit_z if state.position > 0 else level <= rule.exit_z
    if state.bars_held >= rule.max_holding_bars or reverted:
        return 0
    return state.position

"""A manifest as the strategy takes it: research's sizes, with the steps of what is traded live."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from helios_pipeline.core.errors import SettingsError
from helios_pipeline.core.manifest import Manifest
from helios_pipeline.execution.traded_market import TradedMarket
from helios_pipeline.strategy.allocation import CONTRACT, Limits, make_contract
from helios_pipeline.strategy.parameters import ParameterSet
from helios_pipeline.strategy.terms import Terms


def make_terms(manifest: Manifest, manifest_hash: str, markets: Sequence[TradedMarket]) -> Terms:
    """Terms for the markets of one engine, in its order.

    The largest position is the manifest's; steps and minima are those of what is traded, prices those of what is heard.

    Args:
        manifest: verified.
        manifest_hash: its name.
        markets: of the engine.

    Raises:
        SettingsError: a parameter is missing or not allowed, a step is too fine for exact money, or the manifest was
            judged on none of the markets.
    """
    judged = {instrument.instrument_id: instrument for instrument in manifest.terms.instruments}
    traded = tuple(market.signal_instrument_id in judged for market in markets)
    if not any(traded):
        raise SettingsError(
            f"manifest {manifest_hash[:12]}: expected one of {[market.signal_instrument_id for market in markets]}, "
            f"found it judged on {sorted(judged)}. Promote a champion for what is traded, or list its instruments."
        )
    contracts = np.zeros(len(markets), CONTRACT)
    for m, market in enumerate(markets):
        if traded[m]:
            sizes = replace(
                judged[market.signal_instrument_id],
                tick=market.signal_tick,
                lot=market.lot,
                min_quantity=market.min_quantity,
                min_notional_quote=market.min_notional_quote,
            )
            contracts[m] = make_contract(sizes)
    limits = manifest.terms.limits
    return Terms(
        manifest_hash=manifest_hash,
        parameters=ParameterSet.from_mapping(manifest.parameters),
        features=manifest.terms.features,
        limits=Limits(limits.vol_target, limits.max_leverage, limits.gross_cap, limits.max_open),
        contracts=contracts,
        traded=traded,
    )

"""How often the rare cases occurred on which two simulators could differ."""

import numpy as np

from helios_pipeline.simulation.arrays import ENTRY, STOP_AT_OPEN, STOP_IN_BAR, WINDOW_END, Records


def count_cases(slots: Records, fills: Records, payments: Records) -> dict[str, int]:
    """Count the cases in what a simulator did, whichever it was.

    Args:
        slots: `SLOT` of the inputs.
        fills: `FILL` in the order they happened.
        payments: `PAYMENT`.
    """
    order = np.argsort(fills["market"], kind="stable")
    entries = fills[order][fills["reason"][order] == ENTRY]
    exits = fills[order][fills["reason"][order] != ENTRY]
    at_open = exits[exits["reason"] != STOP_IN_BAR]
    paid = set(zip(payments["slot"].tolist(), payments["market"].tolist(), strict=True))
    entered = list(zip(entries["slot"].tolist(), entries["market"].tolist(), strict=True))
    missing = np.cumsum(slots["ask"] == 0, axis=0)
    return {
        "fills": len(fills),
        "payments": len(payments),
        "stops_at_open": int((exits["reason"] == STOP_AT_OPEN).sum()),
        "stops_in_bar": int((exits["reason"] == STOP_IN_BAR).sum()),
        "stops_in_entry_bar": int(((exits["reason"] == STOP_IN_BAR) & (exits["slot"] == entries["slot"])).sum()),
        "settlements_at_entry": int((slots["settlement"][entries["slot"], entries["market"]] >= 0).sum()),
        "settlements_at_exit": sum((e["slot"], e["market"]) in paid for e in at_open),
        "settlements_while_another_enters": sum(
            any((slot, other) in paid for other in range(slots.shape[1]) if other != m) for slot, m in entered
        ),
        "held_over_a_missing_bar": int(
            (missing[exits["slot"], exits["market"]] > missing[entries["slot"], entries["market"]]).sum()
        ),
        "left_after_a_missing_bar": int((slots["ask"][at_open["slot"] - 1, at_open["market"]] == 0).sum()),
        "open_at_the_end": int((exits["reason"] == WINDOW_END).sum()),
    }

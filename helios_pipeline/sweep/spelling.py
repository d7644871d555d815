"""`ParameterSet.canonical` of many sets at once: the text that trials are identified by."""

import json

import numpy as np

from helios_pipeline.simulation.arrays import PARAMETERS, Records

_NAMES = tuple(sorted(PARAMETERS.names or ()))


def canonical_texts(records: Records) -> list[str]:
    """The canonical text of each record, in their order.

    Values repeat from set to set, so each is spelled once; a million sets of a grid take about a second.

    Args:
        records: `PARAMETERS`, every one a point that the signal defines.
    """
    columns = [_spelled_column(records, name, first=index == 0) for index, name in enumerate(_NAMES)]
    return ["".join(parts) for parts in zip(*columns, strict=True)]


def _spelled_column(records: Records, name: str, *, first: bool) -> list[str]:
    """`,"name":value` of each record; the last of them closes the object."""
    values = np.ascontiguousarray(records[name])
    # By their bits: 0.0 and -0.0 are equal, and spelled differently.
    _, at, back = np.unique(values.view(np.int64), return_index=True, return_inverse=True)
    opening, closing = "{" if first else ",", "}" if name == _NAMES[-1] else ""
    spelled = [f"{opening}{json.dumps(name)}:{json.dumps(value)}{closing}" for value in values[at].tolist()]
    return [spelled[index] for index in back.tolist()]

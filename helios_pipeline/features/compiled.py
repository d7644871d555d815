"""How every function that makes a number of a trade is compiled.

Never with fast-math: sums keep their order, so a number has the same bits wherever it is made. The GIL is released.
"""

from typing import Any

import numba

_OPTIONS: dict[str, Any] = {"cache": True, "nogil": True, "error_model": "numpy"}
_WITHOUT_REFERENCES: dict[str, Any] = {**_OPTIONS, "_nrt": False}

compiled = numba.njit(**_OPTIONS)
"""For functions that make arrays."""

allocation_free = numba.njit(**_WITHOUT_REFERENCES)
"""For functions that only read and write arrays of their caller: no reference is counted.

A kernel made of small functions over tuples of arrays would otherwise spend most of its time counting references: this
makes it eight times as fast.
"""

inlined = numba.njit(**_WITHOUT_REFERENCES, forceinline=True)
"""The same, copied into every caller: for what runs in almost every bar."""

"""How every function that makes a number of a trade is compiled.

Never with fast-math: sums keep their order, so a number has the same bits wherever it is made. The GIL is released.

Machine code is cached where `machine_code` says.
"""

from collections.abc import Callable
from typing import Any

import numba

from helios_pipeline.features.machine_code import PREFIX, cache_folder

_config: Any = numba.config
if not _config.CACHE_DIR.rpartition("/")[2].startswith(PREFIX):
    _config.CACHE_DIR = cache_folder(_config.CACHE_DIR)

# Nothing calls these functions from C, and each entry that is compiled for it takes a tenth of the whole time.
_OPTIONS: dict[str, Any] = {"cache": True, "nogil": True, "error_model": "numpy", "no_cfunc_wrapper": True}
_WITHOUT_REFERENCES: dict[str, Any] = {**_OPTIONS, "_nrt": False}
_INTERNAL: dict[str, Any] = {**_WITHOUT_REFERENCES, "no_cpython_wrapper": True}

compiled = numba.njit(**_OPTIONS)
"""For functions that make arrays."""

allocation_free = numba.njit(**_WITHOUT_REFERENCES)
"""For functions that only read and write arrays of their caller: no reference is counted.

A kernel made of small functions over tuples of arrays would otherwise spend most of its time counting references: this
makes it eight times as fast.
"""

step = numba.njit(**_INTERNAL)
"""The same, for what only compiled functions call: without an entry for Python, which takes long to compile."""

inlined = numba.njit(**_INTERNAL, forceinline=True)
"""The same, copied into every caller: for what runs in almost every bar."""


def over_arrays(formula: Any) -> Callable[..., Any]:  # noqa: ANN401 - numba's dispatchers have no public type
    """A compiled formula of plain arithmetic, for whole arrays: NumPy does to each element what it does, bit for bit.

    So that what is called some times a sweep need not be compiled again for arrays.
    """
    return formula.py_func  # type: ignore[no-any-return]

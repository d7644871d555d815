"""How every function that makes a number of a trade is compiled.

Never with fast-math: sums keep their order, so a number has the same bits wherever it is made. The GIL is released.

Machine code is cached in a folder named by the sources it was made from. numba itself looks only at the file that a
function stands in, and would go on using a kernel into which an older `decide` was compiled.
"""

import hashlib
from importlib.resources import files
from typing import Any

import numba

_PACKAGE = files("helios_pipeline")
_PREFIX = "helios-"


def sources_digest() -> str:
    """A digest of every source file that compiled functions stand in."""
    digest = hashlib.sha256()
    for stage in ("features", "strategy", "simulation"):
        sources = [source for source in (_PACKAGE / stage).iterdir() if source.name.endswith(".py")]
        for source in sorted(sources, key=lambda source: source.name):
            digest.update(source.name.encode() + b"\0" + source.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def cache_folder(configured: str) -> str:
    """Where machine code is cached: below the configured folder, else below this package's own `__pycache__`.

    Where that cannot be written, numba falls back to the user's cache.
    """
    return f"{configured or _PACKAGE / '__pycache__'}/{_PREFIX}{sources_digest()}"


_config: Any = numba.config
if not _config.CACHE_DIR.rpartition("/")[2].startswith(_PREFIX):
    _config.CACHE_DIR = cache_folder(_config.CACHE_DIR)
MACHINE_CODE: str = _config.CACHE_DIR
"""The folder it is cached in: one folder in it a stage, with a file `module.function-….nbi` for each function."""

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

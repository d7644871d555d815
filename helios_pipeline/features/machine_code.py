"""Where machine code is cached: in a folder named by the sources it was made from.

numba itself looks only at the file that a function stands in, and would go on using a kernel into which an older
`decide` was compiled. Apart from the compiler, which takes long to import.
"""

import hashlib
from importlib.resources import files

_PACKAGE = files("helios_pipeline")
PREFIX = "helios-"
"""Of the folder's name."""


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

    In it is a folder for each stage, with a file `module.function-….nbi` for each function. Where it cannot be written,
    numba falls back to the user's cache.
    """
    return f"{configured or _PACKAGE / '__pycache__'}/{PREFIX}{sources_digest()}"

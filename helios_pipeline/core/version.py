"""Content versions: equal inputs, parameters and code give an equal version, and equal work is done once."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass
from datetime import date, datetime
from decimal import Decimal


def content_version(name: str, code_version: str, **parts: object) -> str:
    """Version of an output: SHA-256 over what it is made from, as 32 hexadecimal digits.

    Args:
        name: the asset.
        code_version: grows when the code that makes the asset changes its result.
        parts: versions of inputs, settings, parameters; records, mappings, sequences and plain values.
    """
    text = json.dumps([name, code_version, parts], default=_plain, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _plain(value: object) -> object:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Decimal):
        # 0.50 and 0.5 are the same fee.
        return format(value.normalize(), "f")
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Sequence | set | frozenset):
        return sorted(value) if isinstance(value, set | frozenset) else list(value)
    raise TypeError(f"content version: expected plain values or records, found {type(value).__name__}")

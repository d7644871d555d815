"""One spelling per record, so that it can be hashed, signed and compared: canonical JSON without floats.

A float is written as the string of its shortest form that reads back equal, a Decimal as its digits, an instant as
ISO 8601 in UTC. JSON numbers are integers only, names are sorted, text is UTF-8 and nothing is padded; so a database
that reformats JSON loses nothing, and bytes → record → bytes is the identity.
"""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from functools import cache
from types import NoneType, UnionType
from typing import Literal, Union, cast, get_args, get_origin, get_type_hints

from helios_pipeline.core.errors import ManifestError


def to_document(value: object) -> object:
    """A record as dicts, lists, strings, integers, booleans and None.

    Raises:
        ManifestError: a float or Decimal is not finite, an instant has no time zone, or a type has no spelling.
    """
    match value:
        case None | str() | bool() | int():
            return value
        case float() | Decimal() | datetime():
            return _scalar_text(value)
        case Mapping():
            return {str(key): to_document(each) for key, each in value.items()}
        case tuple() | list():
            return [to_document(each) for each in value]
        case _ if is_dataclass(value):
            return {field.name: to_document(getattr(value, field.name)) for field in fields(value)}
        case _:
            raise ManifestError(f"canonical form: expected a record, number, text or instant, found {value!r}")


def canonical_bytes(value: object) -> bytes:
    """The one spelling of a record, or of a document read back from a database.

    Raises:
        ManifestError: as `to_document`.
    """
    return document_bytes(to_document(value))


def document_bytes(document: object) -> bytes:
    """As `canonical_bytes`, of what `to_document` returned.

    Raises:
        ManifestError: a text is none that UTF-8 can hold.
    """
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise ManifestError(f"canonical form: expected text that UTF-8 can hold, found {error.object[:60]!r}") from None


def parse_canonical(data: bytes, what: str) -> object:
    """Read canonical bytes.

    Args:
        data: the bytes.
        what: named in errors.

    Raises:
        ManifestError: no JSON, or not in canonical form: edited, truncated or reformatted.
    """
    try:
        document = json.loads(data)
        unchanged = canonical_bytes(document) == data
    except (ValueError, RecursionError, ManifestError):
        raise ManifestError(f"{what}: expected JSON as Helios writes it, found something else. {_RESTORE}") from None
    if not unchanged:
        raise ManifestError(f"{what}: expected JSON in its canonical form, found it altered. {_RESTORE}")
    return document


def from_document[T](kind: type[T], document: object, what: str) -> T:
    """A record from its document.

    Args:
        kind: the dataclass; its fields are read strictly, none missing and none added.
        document: as `to_document` gives it.
        what: named in errors.

    Raises:
        ManifestError: a field is missing, unknown, or not of its type.
    """
    return cast("T", _read(kind, document, what))


_RESTORE = "Restore the file that `helios promote` wrote, or promote again."
_READERS: dict[object, Callable[[str], object]] = {float: float, Decimal: Decimal, datetime: datetime.fromisoformat}


def _scalar_text(value: float | Decimal | datetime) -> str:
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ManifestError(f"canonical form: expected an instant with a time zone, found {value}")
        return value.astimezone(UTC).isoformat()
    if not math.isfinite(value):
        raise ManifestError(f"canonical form: expected a finite number, found {value}")
    return repr(float(value)) if isinstance(value, float) else str(value)  # a numpy float says its type otherwise


def _read(kind: object, value: object, what: str) -> object:
    origin = get_origin(kind)
    if is_dataclass(kind):
        return _read_record(cast("type", kind), value, what)
    if origin is tuple:
        entries = _expect(value, list, what)
        return tuple(_read(get_args(kind)[0], each, f"{what}[{index}]") for index, each in enumerate(entries))
    if origin is not None and origin not in (Literal, Union, UnionType):
        table = _expect(value, dict, what)
        return {key: _read(get_args(kind)[1], each, f"{what}.{key}") for key, each in table.items()}
    return _read_scalar(get_args(kind) or (kind,), value, what)


def _read_record(kind: type, value: object, what: str) -> object:
    table = _expect(value, dict, what)
    types = _field_types(kind)
    if table.keys() != types.keys():
        raise ManifestError(f"{what}: expected the fields {sorted(types)}, found {sorted(table)}. {_RESTORE}")
    return kind(**{name: _read(each, table[name], f"{what}.{name}") for name, each in types.items()})


@cache
def _field_types(kind: type) -> dict[str, object]:
    """Field → type: kept, since working it out takes longer than reading a record."""
    types = get_type_hints(kind)
    return {field.name: types[field.name] for field in fields(kind)}


def _read_scalar(kinds: tuple[object, ...], value: object, what: str) -> object:
    """The first of several types that the value is a spelling of; a text among the types allows that text."""
    for kind in kinds:
        if isinstance(kind, str) and value == kind:
            return value
        if kind in (str, int, bool, NoneType) and type(value) is kind:
            return value
        if kind in _READERS and isinstance(value, str):
            try:
                return _READERS[kind](value)
            except (ValueError, InvalidOperation):
                continue
    expected = " or ".join(getattr(kind, "__name__", str(kind)) for kind in kinds)
    raise ManifestError(f"{what}: expected {expected}, found {value!r}. {_RESTORE}")


def _expect[C](value: object, container: type[C], what: str) -> C:
    if not isinstance(value, container):
        raise ManifestError(f"{what}: expected a {container.__name__}, found {value!r}. {_RESTORE}")
    return value

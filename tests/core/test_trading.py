import json

from hypothesis import given, settings

from helios_pipeline.core.canonical import canonical_bytes, from_document
from helios_pipeline.core.trading import RECORD_KINDS
from tests.execution.any_records import any_record

KIND_NAMES = {kind: name for name, kind in RECORD_KINDS.items()}


@settings(deadline=None, max_examples=400)
@given(any_record)
def test_every_kind_of_record_read_back_from_its_bytes_is_the_same_record(record):
    data = canonical_bytes(record)

    read = from_document(RECORD_KINDS[KIND_NAMES[type(record)]], json.loads(data), "record")

    assert read == record
    assert repr(read) == repr(record)
    assert canonical_bytes(read) == data

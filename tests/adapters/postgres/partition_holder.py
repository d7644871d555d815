"""A program that holds a partition's lock until it is killed or its standard input ends."""

import sys

from helios_pipeline.adapters.postgres.locks import partition_lock

with partition_lock(sys.argv[1], "bars_15m", "2024-01", "2024-02"):
    print("held", flush=True)
    sys.stdin.read()

"""The library: the folders are the flow of data, from archive file to signed champion."""

import os

# gRPC's own handlers of fork() crash many a child that a process with active channels starts, before the child becomes
# the program it was made for (grpcio 1.85; PostgreSQL is started so). Nothing here uses gRPC in a forked child.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")

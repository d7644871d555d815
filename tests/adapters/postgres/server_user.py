"""A program that uses the server of a home, says how in one line, and leaves when its standard input ends."""

import json
import sys
from pathlib import Path

from helios_pipeline.adapters.postgres.embedded import ensure_server

with ensure_server(Path(sys.argv[1])) as server:
    facts = {"url": server.url, "pid": server.pid, "port": server.port, "started": server.started}
    print(json.dumps(facts | {"data": str(server.data), "sockets": str(server.places.sockets)}), flush=True)
    sys.stdin.read()

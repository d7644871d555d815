"""Dagster's web interface with Helios's reports on the same address, so that links between them need no host.

Started as a process of its own by `helios dagster`; DAGSTER_HOME and HELIOS_HOME say whose.
"""

import argparse
import os
from pathlib import Path

import uvicorn
from dagster import DagsterInstance
from dagster._core.workspace.context import WorkspaceProcessContext, WorkspaceRequestContext
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster_webserver.version import __version__
from dagster_webserver.webserver import DagsterWebserver
from starlette.routing import BaseRoute, Mount
from starlette.staticfiles import StaticFiles

REPORTS_PATH = "/reports"
STATEMENT_TIMEOUT_MS = 15_000
POOL_RECYCLE_SECONDS = 3600
POOL_OVERFLOW = 20


class WebInterface(DagsterWebserver[WorkspaceProcessContext, WorkspaceRequestContext]):
    """Dagster's, with the folder of reports before its own routes, the last of which takes every path."""

    def build_routes(self) -> list[BaseRoute]:
        """Reports first."""
        folder = Path(os.environ["HELIOS_HOME"]) / "reports"
        folder.mkdir(parents=True, exist_ok=True)
        own: list[BaseRoute] = super().build_routes()  # type: ignore[no-untyped-call]
        return [Mount(REPORTS_PATH, StaticFiles(directory=folder, html=True)), *own]


def main() -> None:
    """Serve until a signal."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--workspace", type=Path, required=True, help="Which definitions are shown.")
    given = parser.parse_args()
    target = WorkspaceFileTarget([str(given.workspace)])
    with DagsterInstance.get() as instance:
        instance.optimize_for_webserver(STATEMENT_TIMEOUT_MS, POOL_RECYCLE_SECONDS, POOL_OVERFLOW)
        with WorkspaceProcessContext(instance, workspace_load_target=target, version=__version__) as context:
            app = WebInterface(context).create_asgi_app()
            uvicorn.run(app, host=given.host, port=given.port, log_level="warning")


if __name__ == "__main__":
    main()

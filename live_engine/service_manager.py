"""systemd, where it started us: then it starts again what dies, and the watchdog only judges."""

import os
import socket
from collections.abc import Mapping


def is_service(environment: Mapping[str, str], pid: int) -> bool:
    """Whether systemd started this very process as a service.

    A shell in a desktop's terminal has inherited INVOCATION_ID from that terminal's own unit, so it alone says nothing
    where systemd (248 and newer) also names the process it started.
    """
    if environment.get("NOTIFY_SOCKET"):
        return True
    started = environment.get("SYSTEMD_EXEC_PID")
    return started == str(pid) if started else "INVOCATION_ID" in environment


def notify(state: str, environment: Mapping[str, str] = os.environ) -> None:
    """Tell systemd something, such as `READY=1`; nothing where it does not listen (sd_notify(3))."""
    address = environment.get("NOTIFY_SOCKET", "")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
        out.connect("\0" + address[1:] if address.startswith("@") else address)
        out.sendall(state.encode())

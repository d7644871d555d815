"""Ports of loopback."""

import socket

from simulated_venues.site import LOOPBACK


def is_free(port):
    """Whether a port may be listened at; nothing is connected, which would meet a venue that is closing."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True

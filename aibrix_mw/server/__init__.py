"""The served process: listeners, signals, drain, and the HTTP side of a client's connection."""

from aibrix_mw.server.listener import Listener
from aibrix_mw.server.process import Server, in_flight_cap, new_loop, serve_gateway

__all__ = ["Listener", "Server", "in_flight_cap", "new_loop", "serve_gateway"]

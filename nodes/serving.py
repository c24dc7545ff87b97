"""Serves `/metrics`, `/health/live` and `/health/ready` over HTTP, in a thread of its own."""

import json
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from socketserver import ThreadingMixIn
from typing import Any, Protocol
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app

from nodes.config import Http
from nodes.errors import ServiceDown


class Watched(Protocol):
    """What is served: a registry and the state of health."""

    @property
    def telemetry(self) -> Any:  # noqa: ANN401 - anything with a registry
        """Holds the registry."""

    def health(self) -> dict[str, object]:
        """Return a JSON object with `ready`."""


class _Server(ThreadingMixIn, WSGIServer):
    """One thread a connection, none of which keeps the process."""

    daemon_threads = True
    block_on_close = False


class _Quiet(WSGIRequestHandler):
    timeout = 5
    """Seconds; a connection that says nothing is closed."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its parent's name
        """Access lines go nowhere: scrapes come every few seconds."""


@contextmanager
def serve_status(http: Http, watched: Watched) -> Iterator[int]:
    """Serve while the body runs; yield the port. Port 0 takes a free one.

    Raises ServiceDown where the port is taken.
    """
    app = make_app(watched.telemetry.registry, watched.health)
    try:
        server = make_server(http.host, http.port, app, server_class=_Server, handler_class=_Quiet)
    except OSError as error:
        raise ServiceDown(
            f"http {http.host}:{http.port}: {error.strerror}: choose another port",
        ) from error
    thread = threading.Thread(target=server.serve_forever, name="status", daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


def make_app(registry: CollectorRegistry, health: Callable[[], dict[str, object]]) -> Any:  # noqa: ANN401 - WSGI
    """Return the WSGI application."""
    metrics = make_wsgi_app(registry)

    def app(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        match environ["PATH_INFO"]:
            case "/metrics":
                page: Iterable[bytes] = metrics(environ, start)
                return page
            case "/health/live":
                return _answer(start, "200 OK", {"live": True})
            case "/health/ready":
                state = health()
                status = "200 OK" if state["ready"] else "503 Service Unavailable"
                return _answer(start, status, state)
            case _:
                return _answer(start, "404 Not Found", {"paths": ["/metrics", "/health/live"]})

    return app


def _answer(start: Callable[..., Any], status: str, body: object) -> list[bytes]:
    start(status, [("Content-Type", "application/json")])
    return [json.dumps(body).encode() + b"\n"]

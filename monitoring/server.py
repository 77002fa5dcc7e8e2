"""The metrics server: five pages, in a thread and an event loop of its own, so that a busy main loop cannot mute it."""

from __future__ import annotations

import asyncio
import errno
import socket
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from monitoring import exposition, slos
from monitoring.health import Availability, Component, Health, is_ready
from monitoring.readings import Readings
from monitoring.tap import Tap
from mutable_core.clock import monotonic_ns, wall_ns
from mutable_core.errors import PortTaken, SettingsRefused, Unavailable

HOST = "127.0.0.1"
PORT = 9090
LOOK_PERIOD_S = 1.0
STOP_TIMEOUT_S = 5.0


def listen(host: str = HOST, port: int = PORT) -> socket.socket:
    """A socket that listens there, before anything else starts; port 0 takes a free one.

    Raises:
        PortTaken: another process listens there.
        SettingsRefused: no address or port of this machine, or one that we may not have.
    """
    if not 0 <= port <= 65_535:
        raise SettingsRefused(f"port `{port}` is not in 0–65535", to_do="choose another with `--port`")
    where, family = f"{host}:{port}", socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=128)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortTaken("the port is taken", where=where, to_do="choose another with `--port`") from error
        problem = (error.strerror or type(error).__name__).partition(" (")[0]
        raise SettingsRefused(f"cannot listen: {problem}", where=where, to_do="check `--host` and `--port`") from error


class MetricsServer:
    """Serves what the Tap counted, the readings, the SLOs and the health, until it is stopped.

    Args:
        listener: from `listen`; the server closes it.
        health: its components decide `/healthz` and `/readyz`, and once a second the availability.
    """

    def __init__(
        self,
        listener: socket.socket,
        *,
        tap: Tap,
        readings: Readings,
        health: Health,
        now_ns: Callable[[], int] = monotonic_ns,
    ) -> None:
        self._listener = listener
        self.host, self.port = listener.getsockname()[:2]
        config = uvicorn.Config(
            application(tap=tap, readings=readings, health=health, now_ns=now_ns),
            loop="asyncio", http="h11", ws="none", lifespan="on",
            log_config=None, log_level="error", access_log=False, server_header=False,
            limit_concurrency=128, timeout_keep_alive=5, timeout_graceful_shutdown=2,
        )  # fmt: skip
        self._server = _Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([listener],), name="metrics", daemon=True)

    @property
    def url(self) -> str:
        return f"http://[{self.host}]:{self.port}" if ":" in self.host else f"http://{self.host}:{self.port}"

    def start(self) -> None:
        """Returns when the pages answer.

        Raises:
            Unavailable: the server ended while it started.
        """
        self._thread.start()
        self._server.settled.wait()
        if not self._server.started:
            raise Unavailable("the metrics server did not start", where=self.url)

    def stop(self) -> None:
        """Answers what has been asked, closes the socket and ends the thread; may be called twice, or unstarted."""
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join(STOP_TIMEOUT_S)
        self._listener.close()


class _Server(uvicorn.Server):
    """Tells when it has started, or that it never will."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.settled = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.settled.set()

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            super().run(sockets)
        finally:
            self.settled.set()


def application(*, tap: Tap, readings: Readings, health: Health, now_ns: Callable[[], int] = monotonic_ns) -> Starlette:
    """The five pages. Handlers compute in the server's own loop; nothing that they call may wait."""
    availability = Availability()
    readings.give("ark_ready", lambda: float(health.ready()))
    registry = exposition.registry_over(tap, readings, now_ns)

    async def metrics(_: Request) -> Response:
        return Response(exposition.as_text(registry), headers={"content-type": exposition.CONTENT_TYPE} | _FRESH)

    async def metrics_json(_: Request) -> Response:
        return _json({"timestamp": wall_ns() / 1e9} | exposition.as_json(tap, readings, now_ns()))

    async def slos_page(_: Request) -> Response:
        return _json(slos.report(slos.Signals(tap, availability, now_ns())))

    async def healthz(_: Request) -> Response:
        loop = health.loop()
        page = {"status": "healthy" if loop.ok else "unhealthy", "components": [loop]}
        return _json(page, status=200 if loop.ok else 503)

    async def readyz(_: Request) -> Response:
        components = health.components()
        ready = is_ready(components)
        page = {"ready": ready, "reason": _reason(components), "components": components}
        return _json(page, status=200 if ready else 503)

    @asynccontextmanager
    async def looking(_: Starlette) -> AsyncIterator[None]:
        availability.look(now_ns(), is_ready=health.ready())
        looker = asyncio.create_task(_look_for_ever(availability, health, now_ns))
        yield
        looker.cancel()
        with suppress(asyncio.CancelledError):
            await looker

    app = Starlette(
        routes=[
            Route("/metrics", metrics),
            Route("/metrics/json", metrics_json),
            Route("/slos", slos_page),
            Route("/healthz", healthz),
            Route("/readyz", readyz),
        ],
        exception_handlers={HTTPException: _refused, Exception: _failed},
        lifespan=looking,
    )
    app.router.redirect_slashes = False
    return app


async def _look_for_ever(availability: Availability, health: Health, now_ns: Callable[[], int]) -> None:
    while True:
        await asyncio.sleep(LOOK_PERIOD_S)
        availability.look(now_ns(), is_ready=health.ready())


_FRESH = {"cache-control": "no-store", "x-content-type-options": "nosniff"}


def _json(page: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(
        msgspec.json.encode(page) + b"\n",
        status_code=status,
        headers={"content-type": "application/json"} | _FRESH | (headers or {}),
    )


def _reason(components: tuple[Component, ...]) -> str:
    if not components:
        return "nothing is registered"
    return "; ".join(f"{part.name}: {part.detail or 'not ok'}" for part in components if not part.ok)


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _json({"error": error.detail}, status=error.status_code, headers=dict(error.headers or {}))


async def _failed(_: Request, error: Exception) -> Response:
    return _json({"error": f"the page failed: {type(error).__name__}"}, status=500)

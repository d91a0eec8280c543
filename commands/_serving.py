"""What the servers of pages share: where they listen, and how much they read."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

from timbre_data.schemas.errors import UsageError

if TYPE_CHECKING:
    from starlette.requests import Request

LOOPBACK = ("127.0.0.1", "localhost", "::1", "[::1]")
"""Names of this machine itself."""


def check_port(host: str, port: int) -> None:
    """Raise `UsageError` for an address on which nothing can be served."""
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        with socket.socket(family, socket.SOCK_STREAM) as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tried.bind(address)
    except OSError as error:
        raise UsageError(
            f"port {port} of {host} cannot be used ({error.strerror}): choose another with --port."
        ) from None


async def read_body(request: Request, most: int) -> bytes | None:
    """The body of a request; None for one of more than so many bytes, which is not read to its end."""
    content = bytearray()
    async for part in request.stream():
        content += part
        if len(content) > most:
            return None
    return bytes(content)


def run_server(app: Any, host: str, port: int) -> None:
    """Serve an application until Ctrl-C."""
    import uvicorn

    uvicorn.run(app, host=host, port=port, log_level="warning", access_log=False, server_header=False)

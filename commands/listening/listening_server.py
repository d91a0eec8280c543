"""The server of a listening test: gives out the page, and keeps answers the moment they come."""

from __future__ import annotations

import json
import secrets
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from timbre_data.commands._serving import LOOPBACK, read_body, run_server
from timbre_data.commands.listening.answers import FILE, LARGEST_BYTES, AnswerStore, accepted
from timbre_data.commands.listening.listening_test import PAGE, read_key
from timbre_data.schemas.errors import UsageError

COOKIE = "timbre_listen"


def application(folder: Path, *, token: str | None = None, hosts: tuple[str, ...] = LOOPBACK) -> Starlette:
    """The server of the test in a folder: its page, and `POST answers`. With a `token` only who came by the address
    that holds it is answered. Only requests for `hosts` are answered: no other site can lead a browser here.
    """
    key = read_key(folder)
    store = AnswerStore(folder / FILE)

    def allowed(request: Request) -> bool:
        given = request.cookies.get(COOKIE, "")
        return token is None or secrets.compare_digest(given.encode(), token.encode())

    async def answer(request: Request) -> Response:
        if not allowed(request):
            return PlainTextResponse("open the whole address that you were given", 403)
        body = await read_body(request, LARGEST_BYTES)
        if body is None:
            return PlainTextResponse("too large", 413)
        try:
            kept = accepted(key, json.loads(body))
        except (ValueError, RecursionError):
            return PlainTextResponse("not JSON", 400)
        except UsageError as error:
            return PlainTextResponse(str(error), 422)
        store.keep(kept)
        return JSONResponse({"kept": kept.trial})

    async def page(request: Request) -> Response:
        given = request.query_params.get("token")
        if token is not None and given is not None and secrets.compare_digest(given.encode(), token.encode()):
            response = RedirectResponse("index.html", 303)
            response.set_cookie(COOKIE, token, httponly=True, samesite="strict")
            return response
        if not allowed(request):
            return PlainTextResponse("open the whole address that you were given", 403)
        return RedirectResponse("index.html", 303)

    files = StaticFiles(directory=folder / PAGE)

    async def static(scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope)
        if not allowed(request):
            await PlainTextResponse("open the whole address that you were given", 403)(scope, receive, send)
            return
        await files(scope, receive, send)

    return Starlette(
        routes=[
            Route("/", page),
            Route("/answers", answer, methods=["POST"]),
            Mount("/", app=static),
        ],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=list(hosts))],
    )


def serve(folder: Path, host: str, port: int, token: str | None) -> None:
    """Serve a test until Ctrl-C."""
    hosts = LOOPBACK if host in LOOPBACK else ("*",)
    run_server(application(folder, token=token, hosts=hosts), host, port)

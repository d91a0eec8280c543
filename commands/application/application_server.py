"""The server of the recogniser's page: sounds come in, answers and sounds go out; on this machine alone."""

from __future__ import annotations

import base64
import json
import re
import secrets
import tempfile
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soxr
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket, WebSocketDisconnect

from timbre_data.commands._serving import LOOPBACK, read_body, run_server
from timbre_data.commands.application.recogniser import Recogniser, picture, picture_of, script_of, settings_of, through
from timbre_data.commands.pages.page_folder import plain
from timbre_data.commands.pages.page_sounds import wav
from timbre_data.models.inference.note_stream import listener_for
from timbre_data.pipeline.sound.riff import SUFFIXES
from timbre_data.schemas.arrays import Audio
from timbre_data.schemas.errors import TimbreDataError

LARGEST_BYTES = 64 * 2**20
"""A sound of more is refused."""
LARGEST_REQUEST = 256 * 1024
KEPT_SOUNDS = 64
"""Sounds that are kept; the oldest goes when another comes."""
RATES = range(4_000, 384_001)


class Sounds:
    """Uploaded sounds, in a folder of their own, by an id that nobody can guess."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._files: OrderedDict[str, Path] = OrderedDict()

    def keep(self, content: bytes, suffix: str) -> str:
        """Keep a sound, and return its id."""
        name = secrets.token_hex(12)
        file = self.folder / (name + (suffix if suffix in SUFFIXES else ".wav"))
        file.write_bytes(content)
        self._files[name] = file
        while len(self._files) > KEPT_SOUNDS:
            self._files.popitem(last=False)[1].unlink(missing_ok=True)
        return name

    def file(self, name: Any) -> Path | None:
        """The file of an id; None for one that is not there (any more)."""
        return self._files.get(name) if isinstance(name, str) else None


def application(
    recognisers: Sequence[Recogniser], page: Path, folder: Path, hosts: tuple[str, ...] = LOOPBACK
) -> Starlette:
    """The server of some runs: the page's files, `folder` for uploads. Only requests for `hosts` are answered."""
    by_name = {one.name: one for one in recognisers}
    sounds = Sounds(folder)

    def guarded(answer: Callable[[Request], Any]) -> Callable[[Request], Any]:
        async def endpoint(request: Request) -> Response:
            origin = request.headers.get("origin")
            if origin is not None and origin.partition("://")[2] != request.headers.get("host"):
                return PlainTextResponse("not for other sites", 403)
            try:
                response: Response = await answer(request)
            except TimbreDataError as error:
                return PlainTextResponse(_without_paths(str(error), sounds), 422)
            return response

        return endpoint

    async def asked(request: Request) -> dict[str, Any]:
        content = await read_body(request, LARGEST_REQUEST)
        try:
            found = json.loads(content or b"")
        except (ValueError, RecursionError):
            found = None
        return found if isinstance(found, dict) else {}

    async def runs(request: Request) -> Response:
        return JSONResponse(plain([one.describe() for one in recognisers]))

    async def upload(request: Request) -> Response:
        content = await read_body(request, LARGEST_BYTES)
        if content is None:
            return PlainTextResponse(
                f"the sound is larger than {LARGEST_BYTES // 2**20} MB: cut out the part to recognise.", 413
            )
        name = sounds.keep(content, request.query_params.get("suffix", ""))
        file = sounds.file(name)
        assert file is not None
        shown = await run_in_threadpool(picture_of, file)
        return JSONResponse({"sound": name, "picture": shown})

    async def recognise(request: Request) -> Response:
        wanted = await asked(request)
        run, file = by_name.get(str(wanted.get("run"))), sounds.file(wanted.get("sound"))
        if run is None or file is None:
            return PlainTextResponse("no such run or sound", 404)
        answer = await run_in_threadpool(run.recognise, file, sounds.file(wanted.get("dry")))
        return JSONResponse(plain(answer))

    async def render(request: Request) -> Response:
        wanted = await asked(request)
        file = sounds.file(wanted.get("dry"))
        if file is None:
            return PlainTextResponse("no such dry sound", 404)
        settings = settings_of(wanted.get("steps"))
        sound, rate = await run_in_threadpool(through, file, settings)
        return await _sound(sound, rate)

    async def patch(request: Request) -> Response:
        wanted = await asked(request)
        run, labels = by_name.get(str(wanted.get("run"))), wanted.get("labels")
        if (
            run is None
            or not isinstance(labels, dict)
            or not all(isinstance(one, int | float) for one in labels.values())
        ):
            return PlainTextResponse("no such run or patch", 404)
        sound, rate = await run_in_threadpool(run.play_patch, labels)
        return await _sound(sound, rate)

    async def script(request: Request) -> Response:
        return PlainTextResponse(script_of(settings_of((await asked(request)).get("steps"))))

    async def index(request: Request) -> Response:
        return RedirectResponse("index.html", 303)

    async def live(socket: WebSocket) -> None:
        origin, host = socket.headers.get("origin"), socket.headers.get("host")
        run, rate = by_name.get(socket.query_params.get("run", "")), socket.query_params.get("rate", "")
        if (
            run is None
            or run.predictor.needs_dry
            or not rate.isdigit()
            or int(rate) not in RATES
            or (origin and origin.partition("://")[2] != host)
        ):
            await socket.close(4400)
            return
        await socket.accept()
        try:
            await _follow(socket, run, int(rate))
        except WebSocketDisconnect:
            return

    routes = [
        Route("/", index),
        Route("/runs", guarded(runs)),
        Route("/sounds", guarded(upload), methods=["POST"]),
        Route("/recognise", guarded(recognise), methods=["POST"]),
        Route("/render", guarded(render), methods=["POST"]),
        Route("/patch", guarded(patch), methods=["POST"]),
        Route("/script", guarded(script), methods=["POST"]),
        WebSocketRoute("/live", live),
        Mount("/", app=StaticFiles(directory=page)),
    ]
    return Starlette(routes=routes, middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=list(hosts))])


def _without_paths(text: str, sounds: Sounds) -> str:
    """A message without the name of the file that an upload was kept in."""
    return re.sub(re.escape(str(sounds.folder)) + r"/[\w.]+", "the sound", text)


async def _sound(sound: Audio, rate: int) -> Response:
    """A sound as WAV, and its picture, both base64."""
    shown = await run_in_threadpool(picture, sound, rate)
    return JSONResponse({"wav": base64.b64encode(wav(sound, rate)).decode("ascii"), "picture": shown})


async def _follow(socket: WebSocket, run: Recogniser, rate: int) -> None:
    """Recognise the notes of a sound that comes in blocks of float32, each as soon as its window has passed."""
    listener = listener_for(run.predictor)
    resampler = soxr.ResampleStream(rate, run.predictor.rate, 1, dtype="float32", quality="HQ")
    while True:
        content = await socket.receive_bytes()
        block = np.nan_to_num(np.frombuffer(content[: len(content) // 4 * 4], "<f4").copy())
        if not len(block):
            continue
        for start, note in listener.hear(resampler.resample_chunk(np.clip(block, -1, 1))):
            await socket.send_text(json.dumps(plain(await run_in_threadpool(run.hear_note, start, note))))


def serve(runs: Sequence[Path], page: Path, port: int, started: Callable[[], None]) -> None:
    """Serve runs until Ctrl-C; `started` is called when they are loaded."""
    recognisers = [Recogniser(run) for run in runs]
    with tempfile.TemporaryDirectory(prefix="timbre-data-app-") as folder:
        started()
        run_server(application(recognisers, page, Path(folder)), LOOPBACK[0], port)

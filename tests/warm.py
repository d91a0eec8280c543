"""Commands and snippets in processes that are forked from one that has imported everything.

They start in a tenth of the time, of which a training's is ten seconds. What is tested of the start itself (which
modules a command imports, whether it compiles) goes through `subprocess`.
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import types
import warnings
from pathlib import Path
from typing import Any

PRELOADED = (
    "timbre_data.cli",
    "timbre_data.pipeline.build.rendering",
    "timbre_data.pipeline.build.featurizing",
    "timbre_data.pipeline.store.exporting",
    "timbre_data.models.training.train",
    "timbre_data.models.studies.evaluate",
    "timbre_data.models.inference.predictor",
    "distributed",
    "matplotlib.pyplot",
    "pyarrow.parquet",
)
MAIN = "from timbre_data.cli import main; main()"
SECONDS = 200.0
_server: subprocess.Popen[str] | None = None


def run(
    *arguments: str, cwd: Path | None = None, code: str = MAIN, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `timbre-data` with arguments, or other code, in a process of its own."""
    global _server  # one for each process of the tests
    if _server is None or _server.poll() is not None:
        _server = subprocess.Popen([sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        atexit.register(_end, _server)
    assert _server.stdin is not None
    assert _server.stdout is not None
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder, "stdout"), Path(folder, "stderr")
        request = {
            "words": arguments,
            "code": code,
            "cwd": str(cwd or Path.cwd()),
            "env": dict(os.environ) | (env or {}),
            "out": str(out),
            "err": str(err),
        }
        _server.stdin.write(json.dumps(request) + "\n")
        _server.stdin.flush()
        answer = _server.stdout.readline()
        code_, late = json.loads(answer)
        done = subprocess.CompletedProcess(
            ["timbre-data", *arguments], code_, out.read_text(errors="replace"), err.read_text(errors="replace")
        )
    assert not late, f"it ran for more than {SECONDS:.0f} s: {done}"
    return done


def _end(server: subprocess.Popen[str]) -> None:
    server.kill()
    server.communicate()


def _serve() -> None:
    """Answer requests until stdin is closed."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for name in PRELOADED:
        __import__(name)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            answers.close()
            _become(json.loads(line))
        deadline, late = time.monotonic() + SECONDS, False
        while not (ended := os.waitpid(child, os.WNOHANG))[0]:
            if not late and time.monotonic() > deadline:
                late = True
                os.kill(child, 9)
            time.sleep(0.005)
        answers.write(json.dumps([os.waitstatus_to_exitcode(ended[1]), late]) + "\n")
        answers.flush()


def _become(request: dict[str, Any]) -> None:
    """In the new process: be the command."""
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    tempfile.tempdir = None
    for path, number in ((os.devnull, 0), (request["out"], 1), (request["err"], 2)):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644)
        os.dup2(descriptor, number)
        os.close(descriptor)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115  # as long as the process
    sys.argv = ["timbre-data", *request["words"]]
    sys.path[:] = [place for place in sys.path if Path(place) != Path(__file__).parent]
    sys.path.insert(0, "")
    main = types.ModuleType("__main__")
    sys.modules["__main__"] = main
    warnings.resetwarnings()
    warnings.simplefilter("ignore", DeprecationWarning)
    warnings.simplefilter("error", SyntaxWarning)
    status = 0
    try:
        exec(compile(request["code"], "<tests>", "exec"), main.__dict__)
    except SystemExit as stopped:
        if isinstance(stopped.code, str):
            print(stopped.code, file=sys.stderr)
        status = stopped.code if isinstance(stopped.code, int) else int(bool(stopped.code))
    except BaseException:
        sys.excepthook(*sys.exc_info())
        status = 1
    threading._shutdown()  # type: ignore[attr-defined]  # what the interpreter does before it ends ...
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # ... but for libraries in C, which wait for threads that only the first process had


if __name__ == "__main__":
    _serve()

"""Signal processing: reading and encoding sounds, spectra, pitch, onsets, filters, oscillators, and the compiled
kernels of the pipeline.
"""

import contextlib
import hashlib
import importlib
import os
import sys
import types
from pathlib import Path


def _choose_kernel_cache() -> None:
    """Give compiled kernels a folder that is named after the sources of this package.

    numba notices a change of a function's own file only, not of the functions and constants that it takes from
    elsewhere: next to the sources, an upgrade could go on running old code inside new.
    """
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = str(home / "timbre-data" / f"kernels-{digest.hexdigest()[:16]}")
    os.environ.setdefault("NUMBA_CACHE_DIR", folder)
    if "numba" in sys.modules:
        sys.modules["numba"].config.CACHE_DIR = os.environ["NUMBA_CACHE_DIR"]


def _find_blas() -> None:
    """Import the BLAS that numba looks for when it loads its first kernel, without the rest of `scipy.linalg`.

    That rest takes as long as all else of a first kernel. A stand-in with the package's folder is enough to import one
    extension module from it; it goes again, so that whoever imports `scipy.linalg` gets the real one.
    """
    if "scipy.linalg" in sys.modules:
        return
    import scipy

    stand_in = types.ModuleType("scipy.linalg")
    stand_in.__path__ = [str(Path(scipy.__file__).parent / "linalg")]
    sys.modules["scipy.linalg"] = stand_in
    try:
        with contextlib.suppress(ImportError):  # numba then tries by itself
            importlib.import_module("scipy.linalg.cython_blas")
    finally:
        del sys.modules["scipy.linalg"]


_choose_kernel_cache()
_find_blas()

"""Signal processing: reading and encoding sounds, spectra, pitch, onsets, filters, oscillators, and the compiled kernels of the pipeline."""

import hashlib
import os
import sys
from pathlib import Path


def _choose_kernel_cache() -> None:
    """Give compiled kernels a folder that is named after the sources of this package.

    numba notices a change of a function's own file only, not of the functions and constants that it takes from elsewhere: next to the
    sources, an upgrade could go on running old code inside new.
    """
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = str(home / "timbre-data" / f"kernels-{digest.hexdigest()[:16]}")
    os.environ.setdefault("NUMBA_CACHE_DIR", folder)
    if "numba" in sys.modules:
        sys.modules["numba"].config.CACHE_DIR = os.environ["NUMBA_CACHE_DIR"]


_choose_kernel_cache()

"""The versioned store. All access to stored data goes through here, so that its traps cannot be stepped into.

layout      which arrays there are, their chunks and codecs
repository  names, opening, versions, the guard against forked processes
writer      the one writer: lock, worker sessions, merge, commit
rows        what workers write, and the content hash of every row
reader      what everybody reads
verify      is every row there, whole, and as it was made?
export      hand-over formats
"""

import os

os.environ.setdefault(
    "ICECHUNK_LOG", "error"
)  # read on import; its warning about concurrent local commits is answered by our lock

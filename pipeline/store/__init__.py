"""The versioned store. All access to stored data goes through here, so that its traps cannot be stepped into.

columns       names of the arrays
layout        arrays of a dataset: shapes, chunks, codecs
location      names and addresses of datasets
repository    opening them, the guard against forked processes
versions      versions, tags and the log
writer        the one writer: lock, worker sessions, merge, commit
task_session  what a worker's task writes, with the content hash of every row
reader        reading a dataset
streaming     reading it in shuffled blocks
verify        checking every row against its hash
content       the digest of the content, to cite
exporting     writing a dataset in another format, one file per format in exporters/
plain         exports as plain Zarr, opened as datasets
comparing     how two datasets differ
copying       copies, new names and removal of whole datasets
shelf         the datasets of a folder or prefix
objects       the objects of a store as such, in folders and object storage
card, citation, croissant   what is handed over beside the data
privacy       what is not
torch_data    rows and batches for PyTorch
remote_reading   a process that reads for forked ones
"""

import os

os.environ.setdefault(
    "ICECHUNK_LOG", "error"
)  # read on import; its warning about concurrent local commits is answered by our lock

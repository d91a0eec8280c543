"""One file per member; a file's name is its public name."""

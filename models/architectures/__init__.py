"""One network a file; a file's name is its public name (hyphens and underscores are the same)."""

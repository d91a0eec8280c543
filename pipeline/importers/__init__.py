"""One public dataset a file; a file's name is its public name."""

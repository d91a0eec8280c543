"""Pages to look at and listen to what was made: folders that a browser opens without a server."""

"""Training runs: a run is a folder."""

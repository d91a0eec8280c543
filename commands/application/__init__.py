"""The recogniser as a page: drop a sound, see and hear what made it."""

"""Listening tests of a run: made, served, analysed."""

"""Synths in processes of their own."""

"""Layers and losses that several networks share."""

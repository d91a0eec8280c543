"""The vocabulary (effects, sources, features) and the machine (plan, render, store, build)."""

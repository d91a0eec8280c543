"""The vocabulary (effects, synths, sources, features, importers), the store, and the machine that builds datasets."""

"""From stores to what networks learn from."""

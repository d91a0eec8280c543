"""Networks, their training from stored datasets, and their evaluation."""

"""Evaluations, comparisons and searches over runs."""

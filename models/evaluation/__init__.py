"""Evaluation of a run: metrics, tables beside the paper's, plots, and predicted parameters put back through the
effect.
"""

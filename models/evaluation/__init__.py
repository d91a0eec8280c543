"""What a run is worth: metrics, tables beside the paper's, plots, and predicted parameters put back through the effect."""

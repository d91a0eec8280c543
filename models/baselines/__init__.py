"""Classical classifiers to compare with: one scikit-learn estimator a file."""

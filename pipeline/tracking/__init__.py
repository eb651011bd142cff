"""MLflow, a view of what runs and what has run: no stage reads from it; all of it can be made again from ``out``."""

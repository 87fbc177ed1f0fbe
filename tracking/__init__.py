"""Results for people and programs: MLflow, files, plots, report."""

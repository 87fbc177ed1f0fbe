"""Where runs are recorded: MLflow, ZenML's stack and its dashboard."""

"""What people see of runs on the pages of MLflow and ZenML."""

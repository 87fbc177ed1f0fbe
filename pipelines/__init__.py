"""The pipelines, and how they are run."""

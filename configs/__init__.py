"""The configuration of a run, and the experiments."""

"""Structured pruning: whole channels are removed, by the dependency graph of Torch-Pruning."""

"""How masks are predicted: the network is found and tried, then the pipeline `predict` runs."""

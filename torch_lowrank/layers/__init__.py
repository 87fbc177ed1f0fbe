"""Factorised layers, the unfoldings of weights, and what cannot be factorised."""

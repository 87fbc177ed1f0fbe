"""Spectra of weights: plain and weighted SVD, and refinement."""

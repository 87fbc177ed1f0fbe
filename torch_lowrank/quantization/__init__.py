"""Weights in few bits: rounding that knows the data, and how few bits are stored."""

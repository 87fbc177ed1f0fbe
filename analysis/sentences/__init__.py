"""Sentences that the conclusions are made of."""

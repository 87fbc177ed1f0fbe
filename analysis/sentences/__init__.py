"""Sentences: what the conclusions are made of, the answer as a person says it, and what readers ask."""

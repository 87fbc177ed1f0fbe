"""Rank rules, budgets, costs, and the allocation of ranks over a network."""

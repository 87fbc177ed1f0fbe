"""Networks that are not ours: named by whoever runs them, built, tried on one batch, and told apart by their code."""

"""How artifacts are stored."""

"""Networks as MLflow serves them: what opens them, and the code that travels with them."""

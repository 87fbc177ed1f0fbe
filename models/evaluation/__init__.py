"""What a network achieves, and what it costs."""

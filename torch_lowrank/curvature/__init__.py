"""What a change of a weight does to the loss: second moments, and their collection."""

"""What follows from the results of a comparison, as numbers and sentences."""

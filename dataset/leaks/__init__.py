"""What several splits share although they should not: images, nearly equal images, patients."""

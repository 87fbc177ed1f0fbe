"""Decoding images, resizing them, drawing masks."""

"""Tests of dataset/layouts."""

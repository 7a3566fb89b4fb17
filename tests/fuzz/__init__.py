"""Fuzz tests of every decoder."""

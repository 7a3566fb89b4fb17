"""Tests that memory stays bounded."""

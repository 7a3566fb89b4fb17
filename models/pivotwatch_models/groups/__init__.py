"""Detectors of groups of accounts."""

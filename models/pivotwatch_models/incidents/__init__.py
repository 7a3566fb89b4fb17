"""Incidents: what alerts are about."""

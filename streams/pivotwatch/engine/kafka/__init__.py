"""Clients, topics and rights."""

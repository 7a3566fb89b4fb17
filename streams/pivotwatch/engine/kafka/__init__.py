"""Kafka clients, topics and access rights."""

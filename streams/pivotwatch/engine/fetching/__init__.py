"""Reads chunks of records from Kafka."""

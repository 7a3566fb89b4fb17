"""Delivery of alerts to the configured targets; see README.md in streams/pivotwatch/formats."""

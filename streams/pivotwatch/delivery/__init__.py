"""Delivery: brings alerts to the targets that people configured. See README.md in
streams/pivotwatch/formats.
"""

"""Replay of event files, and tools for operators: checks, dead letters, comparison of alerts."""

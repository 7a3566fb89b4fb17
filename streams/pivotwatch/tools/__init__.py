"""Tools for operators: checks, dead letters, comparison of alerts, event files."""

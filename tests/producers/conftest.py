"""The script of a producer runs in the environment of the producers."""

collect_ignore = ["two_instrumentations.py"]

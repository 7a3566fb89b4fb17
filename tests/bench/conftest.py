"""Keeps pytest from importing the runners: they are programs, some for another environment."""

collect_ignore_glob = ["runners/*"]

"""Runners are programs, some for another environment: pytest does not import them."""

collect_ignore_glob = ["runners/*"]

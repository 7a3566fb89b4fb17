"""Renders alerts for targets: one pure module per target, an alert in, a message out. See README.md."""

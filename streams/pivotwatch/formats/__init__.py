"""What leaves pivotwatch: one pure renderer per target, an alert in, a message out. See README.md."""

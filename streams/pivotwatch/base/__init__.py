"""Building blocks that every room may use: errors, durations, secrets, child processes, SVG charts."""

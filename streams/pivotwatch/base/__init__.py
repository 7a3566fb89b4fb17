"""Building blocks that every room may use: errors, secrets, addresses, child processes, logs, SVG charts."""

"""What every room may use: errors, durations, child processes, SVG."""

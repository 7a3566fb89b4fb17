"""Looking for input that stops a step."""

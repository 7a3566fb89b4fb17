"""What the whole population does."""

"""Memory with a bound."""

"""Models of single accounts."""

"""The live page: what is watched and found now, an incident's evidence, and decisions on it."""

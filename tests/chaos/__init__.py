"""Injects faults into a real broker and real workers, and checks that no result changes."""

"""Faults against a real broker and real worker processes: nothing may change."""

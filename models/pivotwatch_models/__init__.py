"""The method: pure, no I/O, no wall clock, no Faust."""

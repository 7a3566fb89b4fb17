"""The parts of the engine without a broker."""

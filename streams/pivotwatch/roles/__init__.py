"""The roles of a worker: each module combines the engine with one other room."""

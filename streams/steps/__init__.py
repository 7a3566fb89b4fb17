"""The steps: plain classes that a Faust agent or a replay drives. `streams.steps.contract` says how."""

"""The steps: plain classes that a Faust agent or a replay drives. `pivotwatch.engine.operator` says how."""

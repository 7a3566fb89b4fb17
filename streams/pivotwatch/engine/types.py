"""Types of Faust that other rooms use."""

from faust.types import TP

__all__ = ["TP"]

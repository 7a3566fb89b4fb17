"""Tests of pivotwatch."""

"""The backtest report: one page that works offline, from what a replay sends."""

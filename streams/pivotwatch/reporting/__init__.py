"""Charts, tables and caveats of an incident, and the replay report: one HTML file that works offline."""

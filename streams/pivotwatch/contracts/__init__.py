"""The types that cross a topic: one per topic, shared by producer, readers and published schema."""

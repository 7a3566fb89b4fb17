"""What crosses a topic: one type per topic, shared by producer, reader and schema."""

"""The Kafka and Faust runtime. It knows no role, no alert and no model."""

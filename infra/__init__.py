"""What runs pivotwatch: local Kafka, containers, clusters and their monitoring."""

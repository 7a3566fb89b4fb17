"""Everything that runs pivotwatch: the local Kafka, containers, clusters, and their monitoring."""

"""HTTP servers that no client can fill, hold or flood: the page, ingest, health and metrics of a worker."""

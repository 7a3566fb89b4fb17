"""HTTP servers with limits on connections and waiting times: the page, ingest, health and metrics."""

"""Settings of the deployment."""

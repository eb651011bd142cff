"""What stands by: Prefect's server, the flows that it can start, and the refresh when data change."""

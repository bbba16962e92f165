"""A Singer tap for affiliate-network reports that are made by export jobs."""

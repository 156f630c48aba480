"""From the state of an asset to a message that the market may rely on: capacity, outages, publication, and what is blocked meanwhile."""

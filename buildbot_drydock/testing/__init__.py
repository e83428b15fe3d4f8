"""The SDK: contracts, builders and the simulator, for our own tests and for other providers."""

"""The brokers: one folder each, and the simulated ones. They fill the ports of `quantkit.trading`."""

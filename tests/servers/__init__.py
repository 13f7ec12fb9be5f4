"""Real servers on free ports of the loopback, for tests, benches and people."""

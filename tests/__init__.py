"""The tests; a package, so that benches and tools find the servers in it."""

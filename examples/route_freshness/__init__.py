"""A complete route, as docs/howto/add-a-route.md builds it."""

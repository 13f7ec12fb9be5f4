"""A complete adapter, as docs/howto/add-a-store.md builds it."""

"""A complete codec with its cases, as docs/howto/add-a-device.md builds it."""

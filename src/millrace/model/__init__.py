"""The nouns: what is said about devices, with no word on how it is stored or carried."""

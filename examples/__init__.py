"""Examples for the documents; the tests run them."""

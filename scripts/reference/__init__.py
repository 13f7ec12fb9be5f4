"""Writes the reference documents from the code: `python -m scripts.reference`."""

"""The keeper of history, in the background: seal, compact, archive, retire."""

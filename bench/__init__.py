"""Measurements of Millrace; `python -m bench [CASE…]`. Each case checks its result, then speaks."""

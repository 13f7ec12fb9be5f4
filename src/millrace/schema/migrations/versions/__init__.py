"""One file a revision, `r<number>_<what>.py`; released revisions never change."""

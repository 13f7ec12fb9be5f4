"""One file per port and system, `<port>_<system>.py`; the listing is the deployment matrix."""

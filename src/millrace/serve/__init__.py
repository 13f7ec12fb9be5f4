"""Serve: the HTTP API, the live stream and the page. Reads everything, writes nothing yet.

`create_app` makes the application from ports, `serve_app` runs it until it is told to stop.
"""

from millrace.serve.app import create_app
from millrace.serve.deps import Probe, ServeDeps
from millrace.serve.server import serve_app, serve_http

__all__ = ["Probe", "ServeDeps", "create_app", "serve_app", "serve_http"]

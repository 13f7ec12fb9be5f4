"""Serve: the HTTP API, the live stream and the page. Reads everything, writes nothing yet.

`app.create_app` makes the application from ports, `server.serve_app` runs it until it is told to
stop; `listening` serves any small application, so that other roles need no framework.
"""

"""What Millrace needs of the outside: one Protocol a file, at most six methods each.

All storage ports block; whoever runs an event loop calls them in a worker thread of its own. Only
the broker is asynchronous, because a broker is a socket.
"""

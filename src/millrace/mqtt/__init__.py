"""MQTT 3.1.1 and 5 as values: bytes in, packets out, and back. No sockets, no clock, no devices.

    reasons      reason codes and ProtocolError
    properties   the properties of MQTT 5
    values       one class per packet
    decoder      bytes -> packets (the hot loop is here), body: the rarer packets
    encoder      packets -> bytes
    packets      all of the above under one name
    topics       names, filters, and the tree that finds the subscribers of a topic
    options      what a client asks for
    session      the client's side of a session, without its socket

Source: OASIS MQTT 3.1.1 and MQTT 5.0.
"""

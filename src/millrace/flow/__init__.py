"""What moves data between the ports: the pump, hot frames, crash points, an MQTT client."""

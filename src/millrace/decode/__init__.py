"""Messages become readings: find the plan of a topic, decode, judge the sequence. Pure."""

"""Training and prediction timed against the rivals, on the same work in alternating order."""

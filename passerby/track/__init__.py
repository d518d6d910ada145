"""Detections of one picture after another -> identities over time, and what they cross and enter."""

"""Model files -> Detections, without torch."""

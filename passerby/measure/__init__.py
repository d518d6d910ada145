"""Numbers about any predictor: a callable from a picture to Detections."""

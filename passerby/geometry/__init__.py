"""Boxes, default boxes, suppression and resizing, in numpy; no file, no network, no torch."""

"""Recipes of the published models: one file each, with the command, the hours and the score it reached."""

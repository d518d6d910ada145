"""Results as HTML pages: plots, tables and pictures in one file that loads nothing; only what is above it is used."""

"""`python -m passerby` is the command line."""

from passerby.cli.main import entry

entry()

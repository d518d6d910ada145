"""The command line: one thin module a verb; what a verb needs is imported when it runs."""

"""Exported models made smaller, faster or into other files, and proven to be the same."""

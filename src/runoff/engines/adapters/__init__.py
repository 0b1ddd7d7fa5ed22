"""Adapter folders: reading, writing and converting them, and what is refused. Imports no tensor library."""

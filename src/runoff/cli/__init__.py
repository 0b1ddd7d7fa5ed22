"""The command line: one short function per verb, one file each. Must not: hold logic that a notebook would miss."""

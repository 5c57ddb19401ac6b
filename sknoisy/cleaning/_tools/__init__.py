"""The files of annotation tools: rows to look at out, decisions in."""

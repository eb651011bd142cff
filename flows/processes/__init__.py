"""The processes of a run: children that end with their parent, whatever ends it, and one run of a profile at a time."""

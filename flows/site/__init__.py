"""The static site: documents, reports of the profiles that have run, and the interface of every module."""

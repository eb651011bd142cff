"""The malformed inputs, and odd ones that are right, by family: each module offers ``CASES`` by family name."""

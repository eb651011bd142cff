"""The laboratory of the DARTS space."""

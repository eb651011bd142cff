"""Stages on other machines: the coordinator sends them to a work pool, a worker runs them in a clone of its own."""

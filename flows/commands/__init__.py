"""Groups of commands of ``genas``, and the options that several share."""

"""The one exception that means "the user can mend this"."""


class GenasError(Exception):
    """Wrong input, said in one line that names the key, file or value and what was expected.

    Every command prints the message alone, without a traceback, and exits with status 2.
    """

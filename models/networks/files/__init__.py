"""Network files: weights that know their cell, their shape and their pixels."""

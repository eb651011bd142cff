"""The phase ``retrain``: a cell's network trained from scratch on its own (Section 4.1, Tables 2 and 3).

Reads a genotype, from a search or the zoo, and a data set. Leaves weights that know their cell, shape and pixels.
"""

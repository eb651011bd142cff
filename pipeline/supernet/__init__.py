"""The phase ``supernet``: train the one network that holds every architecture, one path a step (Section 3.1).

Reads one half of a data set's training images. Leaves the weights before and after training, and the history.
Training is the same for every search space; the stage here is that of the DARTS space.
"""

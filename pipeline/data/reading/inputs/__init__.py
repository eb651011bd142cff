"""Pictures of any size as network input: cropped, augmented, normalised, and read while the network computes.

Retraining reads so, and supernets whose images do not fit into memory.
"""

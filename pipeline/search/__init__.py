"""The phase ``search``: evolution over a trained supernet under one metric (Sections 3.1 and 3.2, Eq. 5; Table 2).

Reads the supernet's weights and the half of the images that it has not seen. Leaves the winner's genotype, and every
candidate with every term of its score.
"""

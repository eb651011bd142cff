"""What costs no supernet: counting an architecture's graph, training it briefly, other people's measures, and models
fitted to trained networks. A measure should beat them to be worth its forward passes."""

"""How measures look into a supernet: one path evaluated, recalibrated, perturbed, differentiated.

``plain`` does it as it is written in the paper, ``fast`` the same to float tolerance in less time. ``hessian`` and
``zero_cost`` hold what some measures need besides: eigenvectors of the loss (Table 7), gradients before training.
"""

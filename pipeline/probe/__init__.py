"""How measures look into a supernet: one path evaluated, recalibrated, perturbed, differentiated.

``plain`` does it as it is written in the paper, ``fast`` the same to float tolerance in less time. ``noise`` has Eq. 3,
``hessian`` and ``zero_cost`` what some measures need besides: eigenvectors of the loss (Table 7), gradients before
training.
"""

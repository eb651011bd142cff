"""Tables 1, 5, 6 and 7 of the paper as data: Kendall's tau over all of NAS-Bench-201, and what RLNAS reports there.

Sources: Jeong et al., GeNAS, IJCAI 2023; the repository of RLNAS (Zhang et al., 2021), means of ten seeds.
"""

from __future__ import annotations

TABLE_1 = {"cifar10": 0.4302, "cifar100": 0.4724, "imagenet16_120": 0.4097}
"""Between angle and flatness."""
TABLE_5 = {
    (1e-6, 5e-6, 1e-5): {"cifar10": 0.5756, "imagenet16_120": 0.5524},
    (5e-4, 1e-3, 2e-3): {"cifar10": 0.5770, "imagenet16_120": 0.5531},
    (2e-3, 1e-2, 2e-2): {"cifar10": 0.6047, "imagenet16_120": 0.5800},
    (2e-3, 2e-2, 4e-2): {"cifar10": 0.5416, "imagenet16_120": 0.2364},
}
"""Flatness by sigma."""
TABLE_6 = {0.0: 0.1777, 0.1: 0.4026, 0.5: 0.5890, 1.0: 0.6047, 4.0: 0.5898, 16.0: 0.5820}
"""Flatness by alpha, CIFAR-10."""
TABLE_7 = {("all", "random"): 0.6047, ("cells", "random"): 0.5612, ("all", "hessian"): 0.5908}
"""Flatness by where noise acts and where it points, CIFAR-10."""
RLNAS = {
    "accuracy, as trained": {"cifar10": 0.041, "cifar100": 0.052, "imagenet16_120": 0.069},
    "accuracy": {"cifar10": 0.540, "cifar100": 0.525, "imagenet16_120": 0.537},
    "angle": {"cifar10": 0.575, "cifar100": 0.604, "imagenet16_120": 0.545},
    "angle + accuracy": {"cifar10": 0.674, "cifar100": 0.707, "imagenet16_120": 0.676},
}

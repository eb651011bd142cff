"""Which sets may be downloaded freely, from where, with which digests; and where one logs in for the others."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Archive:
    """One file to download.

    Attributes:
        url: where it is.
        digest: ``sha256:...`` or ``md5:...``, as published.
        inside: the folder in the archive that is wanted.
        place: what it becomes in the set's folder; "" for the folder itself.
        only: of the files in it the only ones that are wanted; none for all.
    """

    url: str
    digest: str
    inside: str
    place: str
    only: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Of the file."""
        return self.url.rpartition("/")[2]


@dataclass(frozen=True)
class Cifar:
    """How the binary version of CIFAR is laid out: records of a few label bytes, the last of which counts, and 3 x 32 x
    32 bytes of pixels."""

    labels: int
    train: tuple[str, ...]
    test: tuple[str, ...]
    names: str


@dataclass(frozen=True)
class Published:
    """A set: its folder below the data root, its archives, how CIFAR's is converted."""

    folder: str
    archives: tuple[Archive, ...]
    cifar: Cifar | None = None


TORONTO = "https://www.cs.toronto.edu/~kriz"
COCO = "http://images.cocodataset.org"  # whose certificate is another host's; the digest is what counts
BERKELEY = "https://people.eecs.berkeley.edu/~hendrycks"
V2 = "https://huggingface.co/datasets/vaishaal/ImageNetV2/resolve/main"
SHIFT = "imagenet_shift"

SETS = {
    "cifar10": Published(
        "cifar10",
        (
            Archive(
                f"{TORONTO}/cifar-10-binary.tar.gz",
                "sha256:c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
                "cifar-10-batches-bin",
                "",
            ),
        ),
        Cifar(1, tuple(f"data_batch_{i}.bin" for i in range(1, 6)), ("test_batch.bin",), "batches.meta.txt"),
    ),
    "cifar100": Published(
        "cifar100",
        (
            Archive(
                f"{TORONTO}/cifar-100-binary.tar.gz",
                "sha256:58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
                "cifar-100-binary",
                "",
            ),
        ),
        Cifar(2, ("train.bin",), ("test.bin",), "fine_label_names.txt"),
    ),
    "coco": Published(
        "coco",
        (
            Archive(
                f"{COCO}/annotations/annotations_trainval2017.zip",
                "sha256:113a836d90195ee1f884e704da6304dfaaecff1f023f49b6ca93c4aaae470268",
                "annotations",
                "annotations",
                ("instances_train2017.json", "instances_val2017.json"),
            ),
            Archive(
                f"{COCO}/zips/val2017.zip",
                "sha256:4f7e2ccb2866ec5041993c9cf2a952bbed69647b115d0f74da7ce8f4bef82f05",
                "val2017",
                "val2017",
            ),
            Archive(
                f"{COCO}/zips/train2017.zip",
                "sha256:69a8bb58ea5f8f99d24875f21416de2e9ded3178e903f1f7603e283b9e06d929",
                "train2017",
                "train2017",
            ),
        ),
    ),
    "imagenet_v2": Published(
        SHIFT,
        (
            Archive(
                f"{V2}/imagenetv2-matched-frequency.tar.gz",
                "sha256:f0c37fdf925916b19ea1323cd9a2208cdb6959ba2c32eef2a7fc393835c9ca7c",
                "imagenetv2-matched-frequency-format-val",
                "imagenetv2-matched-frequency",
            ),
        ),
    ),
    "imagenet_a": Published(
        SHIFT,
        (
            Archive(
                f"{BERKELEY}/imagenet-a.tar",
                "sha256:3bb3632277e6ba6392ea64c02ddbf4dd2266c9caffd6bc09c9656d28f012589e",
                "imagenet-a",
                "imagenet-a",
            ),
        ),
    ),
    "imagenet_o": Published(
        SHIFT,
        (Archive(f"{BERKELEY}/imagenet-o.tar", "md5:86bd7a50c1c4074fb18fc5f219d6d50b", "imagenet-o", "imagenet-o"),),
    ),
}
"""What may be downloaded without logging in. Digests are those that the sets' readers publish (TensorFlow Datasets; of
ImageNet-O torch-uncertainty)."""

LOGIN = {
    "imagenet": "log in at https://image-net.org/download.php, choose ILSVRC 2012, take the training and the "
    "validation images of task 1 & 2, and put them as train/<wnid>/*.JPEG and val/<wnid>/*.JPEG",
    "imagenet16_120": "log in at https://image-net.org/download.php, take the downsampled images of 16 pixels "
    "(train and val), and put their first 120 classes as train/<class>/*.png and val/<class>/*.png",
    "cityscapes": "log in at https://www.cityscapes-dataset.com/downloads, take leftImg8bit_trainvaltest.zip and "
    "gtFine_trainvaltest.zip, and unpack both",
}
"""What has to be fetched by hand, and how."""

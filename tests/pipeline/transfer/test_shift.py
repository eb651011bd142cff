"""Evaluation under distribution shift: Table 4's three numbers by hand, one row from end to end, and a whole ImageNet
of small pictures in the published layouts."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.metrics import average_precision_score
from torchvision.datasets import ImageFolder

from genas.models.errors import GenasError
from genas.models.networks.files.checkpoint import Preprocessing, load_network, save_network
from genas.models.networks.published import zoo_genotype
from genas.models.spaces.darts.network import GenasNetwork
from genas.pipeline.config import data_root
from genas.pipeline.data import stage as data
from genas.pipeline.data.reading.inputs.preprocessing import evaluation_transform
from genas.pipeline.retrain.evaluation import logits_of, top_k
from genas.pipeline.transfer import shift
from genas.pipeline.transfer.shift import labelled, labels_by_number, masked, real_top1, unknown_aupr, unlabelled
from tests.conftest import Tiny

CLASSES = ["zero", "one", "two"]


def picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), "teal").save(path)


def test_only_named_classes_compete() -> None:
    logits = torch.tensor([[5.0, 1.0, 2.0, 0.0], [0.0, 9.0, 3.0, 4.0]])
    out = masked(logits, [2, 3])
    assert out.tolist() == [[-torch.inf, -torch.inf, 2.0, 0.0], [-torch.inf, -torch.inf, 3.0, 4.0]]
    assert top_k(logits, torch.tensor([2, 3]), 1) == 0
    assert top_k(out, torch.tensor([2, 3]), 1) == 100


def confident(*shares: float) -> torch.Tensor:
    """Logits of two classes whose larger probability is each of ``shares``."""
    return torch.tensor([[p, 1 - p] for p in shares]).log()


def test_the_area_under_precision_and_recall_by_hand() -> None:
    assert unknown_aupr(confident(0.9, 0.8), confident(0.6, 0.7)) == pytest.approx(100)
    # ranked by low confidence: unknown (1/1), known, unknown (2/3), known; half a step of recall each
    assert unknown_aupr(confident(0.7, 0.9), confident(0.6, 0.8)) == pytest.approx(100 * (1 / 2 + 1 / 2 * 2 / 3))
    # the unknown are the most confident: 1/3 and 2/4
    assert unknown_aupr(confident(0.6, 0.7), confident(0.8, 0.9)) == pytest.approx(
        100 * (1 / 2 * 1 / 3 + 1 / 2 * 2 / 4)
    )


def test_the_unknown_among_equals_are_their_share() -> None:
    assert unknown_aupr(torch.zeros(6, 5), torch.zeros(2, 5)) == pytest.approx(25)


def test_folders_are_class_names(tmp_path: Path) -> None:
    for name in ("two", "zero"):
        picture(tmp_path / name / "a.png")
    files, own = labelled(tmp_path, CLASSES)
    assert [(path.parent.name, label) for path, label in files] == [("two", 2), ("zero", 0)]
    assert own == [0, 2]


def test_a_class_of_the_set_competes_though_it_has_no_images(tmp_path: Path) -> None:
    picture(tmp_path / "two" / "a.png")
    (tmp_path / "one").mkdir()
    files, own = labelled(tmp_path, CLASSES)
    assert ([label for _, label in files], own) == ([2], [1, 2])
    with pytest.raises(GenasError, match=r"images of 1 of 2 classes, none of one$"):
        labelled(tmp_path, CLASSES, count=2)


def test_folders_are_class_numbers(tmp_path: Path) -> None:
    for name in ("2", "10", "0"):
        picture(tmp_path / name / "a.jpg")
    classes = [f"n{i:08d}" for i in range(11)]
    assert [(path.parent.name, label) for path, label in labelled(tmp_path, classes)[0]] == [
        ("0", 0),
        ("10", 10),
        ("2", 2),
    ]
    # ImageNet's numbers follow the wnids, in whatever order the network has its classes.
    found = {path.parent.name: label for path, label in labelled(tmp_path, classes[::-1])[0]}
    assert found == {"0": 10, "10": 0, "2": 8}


def test_class_numbers_beyond_the_network_are_said_so(tmp_path: Path) -> None:
    for i in range(12):
        picture(tmp_path / str(i) / "a.jpg")
    with pytest.raises(GenasError, match=r"/11: a class number, but the network has 3 classes only"):
        labelled(tmp_path, CLASSES)


def test_a_published_list_tells_the_classes(tmp_path: Path) -> None:
    classes = [f"n{i:08d}" for i in range(4)]
    lines = "\n".join(f"{name} a thing" for name in classes[1:])
    (tmp_path / "README.txt").write_text(f"There are 3 classes we consider.\n\n{lines}\n")
    for name in classes[1:3]:
        picture(tmp_path / name / "a.jpg")
    with pytest.raises(GenasError, match=r"images of 2 of 3 classes, none of n00000003$"):
        labelled(tmp_path, classes)
    assert labelled(tmp_path, classes[:3])[1] == [1, 2]  # a network of a few classes, a set of a few
    picture(tmp_path / classes[3] / "a.jpg")
    assert labelled(tmp_path, classes)[1] == [1, 2, 3]


def test_classes_of_images_of_no_class(tmp_path: Path) -> None:
    picture(tmp_path / "unknown" / "a.png")
    files, own = unlabelled(tmp_path, CLASSES, count=200)
    assert (len(files), own) == (1, [0, 1, 2])
    (tmp_path / "unknown").rename(tmp_path / "two")
    assert unlabelled(tmp_path, CLASSES)[1] == [2]
    (tmp_path / "two").rename(tmp_path / "n00000009")
    with pytest.raises(GenasError, match="n00000009: folder is none of the 3 classes"):
        unlabelled(tmp_path, CLASSES)


@pytest.mark.parametrize("name", ["three", "3", "-1"])
def test_a_folder_that_is_no_class_is_named(tmp_path: Path, name: str) -> None:
    picture(tmp_path / "zero" / "a.png")
    picture(tmp_path / name / "a.png")
    with pytest.raises(GenasError, match=r"folder is none of the 3 classes \(zero, one, two, ...\)") as caught:
        labelled(tmp_path, CLASSES)
    assert str(caught.value).startswith(str(tmp_path / name))


def test_a_link_that_leads_nowhere_is_named(tmp_path: Path) -> None:
    picture(tmp_path / "two" / "a.png")
    (tmp_path / "one").symlink_to(tmp_path / "lost")
    with pytest.raises(GenasError, match=r"/one: a link that leads nowhere \("):
        labelled(tmp_path, CLASSES)


def test_a_missing_set_is_named(tmp_path: Path) -> None:
    with pytest.raises(GenasError, match="imagenet-a: no such folder"):
        labelled(tmp_path / "imagenet-a", CLASSES)


@pytest.fixture
def evaluated(tiny: Tiny) -> Tiny:
    """A tiny profile with shifted sets and a network to evaluate."""
    data.run(tiny.context("data", dataset="small_shift"))
    torch.manual_seed(0)
    network = GenasNetwork(zoo_genotype("darts_v2_c10"), 2, 3, num_classes=3, stem="cifar")
    network(torch.randn(8, 3, 32, 32))
    out = tiny.context("retrain", row="published").out
    save_network(out / "weights.safetensors", network, Preprocessing(32, (0.3,) * 3, (0.4,) * 3), CLASSES)
    return tiny


def test_a_row_from_end_to_end(evaluated: Tiny) -> None:
    context = evaluated.context("shift", row="published")
    metrics = shift.run(context)
    assert list(metrics) == ["top1", "top5", "v2_top1", "a_top1", "o_aupr"]
    assert all(0 <= value <= 100 for value in metrics.values())
    assert json.loads(json.dumps(metrics)) == metrics
    assert shift.run(context) == metrics

    network = load_network(evaluated.root / "out/retrain/published/weights.safetensors")
    root = data.dataset_root(context, "small_shift") / "imagenet-a"
    pictures = shift.Pictures(
        labelled(root, CLASSES)[0], evaluation_transform(Preprocessing(32, (0.3,) * 3, (0.4,) * 3))
    )
    assert len(pictures) == 30
    assert top_k(*logits_of(network, pictures, 8), 1) == metrics["a_top1"]  # all three classes are in the set


def test_a_truncated_image_is_named(evaluated: Tiny) -> None:
    context = evaluated.context("shift", row="published")
    root = data.dataset_root(context, "small_shift") / "imagenet-o"
    path = sorted(root.rglob("*.png"))[3]
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(GenasError, match="not a readable image") as caught:
        shift.run(context)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_an_empty_set_is_said_so(evaluated: Tiny) -> None:
    context = evaluated.context("shift", row="published")
    root = data.dataset_root(context, "small_shift")
    shutil.rmtree(root / "imagenet-o" / "unknown")
    (root / "imagenet-o" / "unknown").mkdir()
    with pytest.raises(GenasError, match=r"data set small_shift: a test set below .* has no images"):
        shift.run(context)


def test_missing_weights_are_named(tiny: Tiny) -> None:
    with pytest.raises(GenasError, match=r"out/retrain/found/weights\.safetensors: no such weights file"):
        shift.run(tiny.context("shift", row="found"))


# ---- ImageNet in the published layouts ------------------------------------------------------------------------------

META = data_root() / "imagenet_meta"
needed = pytest.mark.skipif(not META.is_dir(), reason=f"{META} is missing (GENAS_DATA sets the data root)")
PREPROCESSING = Preprocessing(32, (0.0,) * 3, (1.0,) * 3, crop_pct=1.0)


def noise(i: int) -> Image.Image:
    """A picture of its own for every number."""
    return Image.fromarray(np.random.default_rng(i).integers(0, 255, (32, 32, 3), np.uint8))


def save(image: Image.Image, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, "png")


class Small:
    """The data sets in the published layouts, a picture a class, and a network that knows each validation picture.

    Attributes:
        profile: its row ``published`` has the network.
        root: data root with ``imagenet/val`` and ``shift``.
        own: class numbers of ImageNet-A, -O and -R, as published.
    """

    def __init__(self, profile: Tiny, root: Path) -> None:
        index = json.loads((META / "imagenet_class_index.json").read_text())
        self.profile, self.root = profile, root
        self.wnids = [index[str(i)][0] for i in range(1000)]
        self.own = {}
        for name in "aor":
            lines = json.loads((META / f"imagenet_{name}_classes.json").read_text())
            assert all(self.wnids[line["imagenet_index"]] == line["wnid"] for line in lines)
            self.own[name] = sorted(line["imagenet_index"] for line in lines)
        self.write()
        self.network()

    def write(self) -> None:
        """Validation pictures are ``noise(class)``; a set's picture of another class is one that is taken for it."""
        shifted, others = self.root / "shift", [i for i in range(1000) if i not in self.own["a"]]
        for i, wnid in enumerate(self.wnids):
            # the names of ILSVRC 2012 say nothing of classes
            save(noise(i), self.root / f"imagenet/val/{wnid}/ILSVRC2012_val_{(i * 7) % 1000 + 1:08d}.JPEG")
            save(noise(i if i < 900 else i - 1), shifted / f"imagenetv2-matched-frequency/{i}/{i}.jpeg")
        for name in "aor":
            for j, i in enumerate(self.own[name]):
                shown = {"a": i if j < 120 else others[j], "o": 5000 + i, "r": i if j < 170 else 6000 + i}[name]
                save(noise(shown), shifted / f"imagenet-{name}/{self.wnids[i]}/{j}.jpg")
        # half the pictures have their own class and another, a quarter no label, a quarter a wrong one
        real = {(i * 7) % 1000: ([i, (i + 1) % 1000], [i, 5], [], [(i + 3) % 1000])[i % 4] for i in range(1000)}
        (shifted / "real.json").write_text(json.dumps([real[i] for i in range(1000)]))

    def network(self) -> None:
        """Logits 2 f.p - p.p, the nearest picture's being the largest: f is a picture's feature, p a validation one."""
        torch.manual_seed(0)
        network = GenasNetwork(zoo_genotype("darts_v2_c10"), 2, 3, num_classes=1000, stem="cifar").eval()
        transform = evaluation_transform(PREPROCESSING)
        with torch.no_grad():
            known = torch.stack([transform(noise(i)) for i in range(1000)])
            features = network.forward_head(network.forward_features(known), pre_logits=True)
            classifier: Any = network.get_classifier()
            classifier.weight.copy_(200 * features)
            classifier.bias.copy_(-100 * (features**2).sum(1))
        out = self.profile.context("retrain", row="published").out
        save_network(out / "weights.safetensors", network, PREPROCESSING, self.wnids)

    def logits(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Logits and folder numbers of a set, read by torchvision."""
        network = load_network(self.profile.root / "out/retrain/published/weights.safetensors").eval()
        source = ImageFolder(str(self.root / name), evaluation_transform(PREPROCESSING))
        with torch.no_grad():
            logits = network(torch.stack([image for image, _ in source])).double().numpy()
        return logits, np.array(source.targets)

    def run(self) -> dict[str, float]:
        return shift.run(self.profile.context("shift", row="published"))


@pytest.fixture
def small_imagenet(tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Small:
    monkeypatch.setenv("GENAS_DATA", str(tmp_path / "data"))
    tiny.change(
        "data",
        imagenet={"layout": "folder", "digest": "content", "path": "imagenet"},
        sets={"layout": "shift", "digest": "content", "path": "shift"},
    )
    tiny.change("rows", found__dataset="imagenet", published__dataset="imagenet")
    tiny.change("shift", dataset="sets", trained_on="imagenet", batch_size=250)
    tiny.change("curvature", trained_on="imagenet")
    return Small(tiny, tmp_path / "data")


@needed
def test_all_published_sets_as_their_authors_count(small_imagenet: Small) -> None:
    metrics = small_imagenet.run()
    own = small_imagenet.own
    assert (metrics["top1"], metrics["top5"]) == (100, 100)
    assert metrics["v2_top1"] == 90

    # ImageNet-A and -R: the logits of their 200 classes, the folders' alphabetical order being that of the indices
    for name, known in (("a", 120), ("r", 170)):
        logits, targets = small_imagenet.logits(f"shift/imagenet-{name}")
        right = logits[:, own[name]].argmax(1) == targets
        assert right.sum() >= known
        assert metrics[f"{name}_top1"] == pytest.approx(100 * right.mean())
    assert metrics["a_top1"] > 100 * 120 / 200 - 1e-9
    assert metrics["r_top1"] < 100

    # ImageNet-O: images of its 200 classes only, on either side the softmax over these
    val, targets = small_imagenet.logits("imagenet/val")
    unknown, _ = small_imagenet.logits("shift/imagenet-o")
    scores = [
        -torch.from_numpy(logits[:, own["o"]]).softmax(1).amax(1).numpy()
        for logits in (val[np.isin(targets, own["o"])], unknown)
    ]
    assert [len(some) for some in scores] == [200, 200]
    expected = average_precision_score([0] * 200 + [1] * 200, np.concatenate(scores))
    assert metrics["o_aupr"] == pytest.approx(100 * expected)
    assert metrics["o_aupr"] != pytest.approx(unknown_aupr(torch.from_numpy(val), torch.from_numpy(unknown)), abs=0.1)

    assert metrics["real_top1"] == pytest.approx(100 * 500 / 750)


@needed
def test_what_does_not_fit_is_said_so(small_imagenet: Small) -> None:
    shifted = small_imagenet.root / "shift"
    for wnid in (small_imagenet.wnids[i] for i in small_imagenet.own["a"][:3]):
        shutil.rmtree(shifted / "imagenet-a" / wnid)
    with pytest.raises(GenasError, match=r"imagenet-a: images of 197 of 200 classes$"):
        small_imagenet.run()
    shutil.rmtree(shifted / "imagenetv2-matched-frequency" / "999")
    with pytest.raises(GenasError, match=r"imagenetv2-matched-frequency: images of 999 of 1000 classes$"):
        small_imagenet.run()
    # a network of ten classes
    out = small_imagenet.profile.root / "out/retrain/published"
    network = GenasNetwork(zoo_genotype("darts_v2_c10"), 2, 3, num_classes=10, stem="cifar")
    ten = [small_imagenet.wnids[i] for i in (6, 0, 217, 482, 491, 497, 566, 569, 571, 574)]
    save_network(out / "weights.safetensors", network, PREPROCESSING, ten)
    with pytest.raises(GenasError, match="frequency/998: a class number, but the network has 10 classes only"):
        small_imagenet.run()
    with pytest.raises(GenasError, match=r"folder is none of the 10 classes \(.*\), nor are 195 others of 197"):
        labelled(small_imagenet.root / "shift/imagenet-a", ten)


def test_real_labels_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "real.json"
    path.write_text("[[0], [], [1, 2], [0]]")
    names = [f"ILSVRC2012_val_{i:08d}" for i in (3, 1, 2, 4)]
    logits = torch.eye(3)[[2, 1, 1, 0]]  # right, wrong, not asked, right
    assert real_top1(logits, names, path) == pytest.approx(100 * 2 / 3)
    with pytest.raises(GenasError, match=r"labels of 4 images .*00000001 to .*00000004, but the validation set has 3"):
        real_top1(logits, names[:3], path)
    for text, label in (
        ('[[0], [], [1, "2"], [0]]', "image 3 has label 2"),
        ("[[0.5]]", "image 1 has label 0.5"),
        ("[[0], [-1]]", "image 2 has label -1"),
        ("[[0], [3]]", "image 2 has label 3"),
    ):
        path.write_text(text)
        with pytest.raises(GenasError, match=rf"real\.json: {label}, expected 0 to 2$"):
            real_top1(logits, names, path)
    for text in ("{", '{"0": [1]}', "[1, 2]", "[[], []]", ""):
        path.write_text(text)
        with pytest.raises(GenasError, match=r"real\.json: not a list of the labels of each validation image"):
            real_top1(logits, names, path)


def test_class_numbers_follow_wnids_only() -> None:
    assert labels_by_number(["n00000003", "n00000001", "n00000002"]) == [1, 2, 0]
    assert labels_by_number(CLASSES) == [0, 1, 2]

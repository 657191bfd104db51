import csv
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import coremltools as ct
import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

FOLDER = Path(__file__).parents[2] / "experiments" / "efficientnet_lite0"
SPLITS = ("evaluation", "calibration", "confirmation")
# ImageNet class numbers: https://deeplearning.cms.waikato.ac.nz/user-guide/class-maps/IMAGENET/
OBVIOUS = {
    "chelsea": {281, 282, 285},  # tabby, tiger cat, Egyptian cat
    "coffee": {504, 967, 968},  # coffee mug, espresso, cup
    "rocket": {657, 744},  # missile, projectile
    "animal_bison": {347},
    "animal_koala": {105},
    "animal_panda": {388},
    "animal_polar_bear": {296},
    "animal_alpaca": {355},  # llama
}


@pytest.fixture(scope="module")
def workload() -> ModuleType:
    sys.path.insert(0, str(FOLDER))
    try:
        return _loaded("workload")
    finally:
        sys.path.remove(str(FOLDER))


def _loaded(name: str) -> ModuleType:
    spec = spec_from_file_location(f"efficientnet_lite0_{name}", FOLDER / f"{name}.py")
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def network(workload: ModuleType) -> nn.Module:
    return workload.model()


def test_the_network_is_the_published_one(network: nn.Module) -> None:
    assert not network.training
    assert sum(p.numel() for p in network.parameters()) == 4_652_008
    layers = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert len(layers) == 50


@pytest.mark.parametrize(("name", "classes"), OBVIOUS.items())
def test_obvious_photographs_get_their_class(
    workload: ModuleType, network: nn.Module, name: str, classes: set[int]
) -> None:
    photographs = sys.modules["photographs"]
    photograph = next(p for split in SPLITS for p in photographs.photographs(split) if p.name == name)
    crop = photographs.square(photograph.open(), photographs.CENTRE_FRACTION, 0.5, 0.5)
    with torch.inference_mode():
        probabilities = network(photographs.scaled(crop[None])).softmax(1)[0]
    assert int(probabilities.argmax()) in classes
    assert float(probabilities[list(classes)].sum()) > 0.4


def test_padding_is_tensorflows(workload: ModuleType) -> None:
    """A 3x3 kernel at stride 2 on an even side reads one row more at the bottom and right, none at the top and left."""
    pad = sys.modules["efficientnet_lite0"].same_padding
    assert pad(3, 2)(torch.ones(1, 1, 4, 4)).shape[-1] == 5
    assert pad(3, 2)(torch.ones(1, 1, 4, 4))[0, 0, 0, 0] == 1
    assert pad(5, 2)(torch.ones(1, 1, 4, 4)).shape[-1] == 7


def test_the_table_names_each_photograph_once_and_all_open() -> None:
    with (FOLDER / "photographs.csv").open(newline="", encoding="utf-8") as table:
        rows = list(csv.DictReader(table))
    assert len({row["name"] for row in rows}) == len(rows)
    assert len({(row["package"], row["path"]) for row in rows}) == len(rows)
    here = [row for row in rows if not row["package"]]
    assert all(row["author"] and row["licence"] and row["source"] for row in here)
    assert {FOLDER / row["path"] for row in here} == set((FOLDER / "photographs").iterdir())
    photographs = _loaded("photographs")
    sizes = [p.open().size for split in SPLITS for p in photographs.photographs(split)]
    assert len(sizes) == len(rows)
    assert min(min(size) for size in sizes) >= 200


@pytest.mark.slow
@pytest.mark.matrix(1)
@pytest.mark.parametrize(("split", "at_least"), [("evaluation", 96), ("calibration", 128), ("confirmation", 64)])
def test_data_are_batches_of_scaled_crops_with_the_float_classes(
    workload: ModuleType, network: nn.Module, split: str, at_least: int
) -> None:
    batches = list(getattr(workload, f"{split}_data")())
    images = torch.cat([inputs[0] for inputs, _ in batches])
    assert len(images) >= at_least
    assert images.shape[1:] == (3, 224, 224)
    assert images.dtype == torch.float32
    assert images.abs().max() <= 1.01
    if split == "calibration":
        assert all(target is None for _, target in batches)
        return
    targets = torch.cat([target for _, target in batches])
    assert len(targets) == len(images)
    with torch.inference_mode():
        logits = network(images[:8])
    assert workload.metrics(logits, targets[:8]) == {"top1_agreement": 1.0}
    assert workload.metrics(-logits, targets[:8]) == {"top1_agreement": 0.0}


def test_training_crops_come_from_calibration_photographs_and_repeat(workload: ModuleType) -> None:
    first, again = workload.training_data(), workload.training_data()
    for _ in range(2):
        ((images,), target), ((same,), _) = next(first), next(again)
        assert target is None
        assert images.shape == (16, 3, 224, 224)
        assert torch.equal(images, same)
    assert not torch.equal(images, next(first)[0][0])


@pytest.mark.slow
def test_splits_share_no_crop(workload: ModuleType) -> None:
    seen = [
        {image.numpy().tobytes() for inputs, _ in getattr(workload, f"{split}_data")() for image in inputs[0]}
        for split in SPLITS
    ]
    assert len(set.union(*seen)) == sum(len(part) for part in seen)


def test_a_crop_is_where_it_was_asked() -> None:
    photographs = _loaded("photographs")
    ramp = np.tile(np.arange(200, dtype=np.uint8)[None, :, None], (100, 1, 3))
    picture = Image.fromarray(ramp)
    left, right = photographs.square(picture, 1.0, 0.0, 0.5), photographs.square(picture, 1.0, 1.0, 0.5)
    assert left.shape == right.shape == (224, 224, 3)
    assert left[..., 0].max() < 101
    assert right[..., 0].min() > 98


@pytest.mark.slow
def test_it_converts_and_has_a_weight_for_every_layer(workload: ModuleType, network: nn.Module) -> None:
    program = torch.export.export(network, workload.example_inputs()).run_decompositions({})
    package = ct.convert(program, minimum_deployment_target=ct.target.iOS18, skip_model_load=True)
    operations = package._mil_program.functions["main"].operations
    weighted = [op for op in operations if op.op_type in {"conv", "linear"}]
    assert len(weighted) == 50

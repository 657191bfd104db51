import gzip
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import coremltools as ct
import numpy as np
import pytest
import torch
from torch import nn

FOLDER = Path(__file__).parents[2] / "experiments" / "fashion_mnist"


@pytest.fixture(scope="module")
def workload() -> ModuleType:
    sys.path.insert(0, str(FOLDER))
    try:
        spec = spec_from_file_location("fashion_mnist_workload", FOLDER / "workload.py")
        module = module_from_spec(spec)
        spec.loader.exec_module(module)
        return module
    finally:
        sys.path.remove(str(FOLDER))


@pytest.fixture
def clothes(workload: ModuleType) -> ModuleType:
    return sys.modules["clothes"]


@pytest.fixture
def whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clothes: ModuleType) -> Path:
    """A data set laid out as published: 40 training pictures of each class, each filled with its own number."""
    classes = np.tile(np.arange(10, dtype=np.uint8), 40)
    pixels = np.repeat(np.arange(400) % 256, 28 * 28).astype(np.uint8)
    for name, header, values in (("images-idx3", 16, pixels), ("labels-idx1", 8, classes)):
        with gzip.open(tmp_path / f"train-{name}-ubyte.gz", "wb") as file:
            file.write(bytes(header) + values.tobytes())
    monkeypatch.setenv("FASHION_MNIST", str(tmp_path))
    monkeypatch.setattr(clothes, "WHOLE_TRAINING", ("train", slice(10, 40)))
    clothes.training_clothes.cache_clear()
    yield tmp_path
    clothes.training_clothes.cache_clear()


@pytest.mark.slow
def test_the_checkpoint_is_right_on_at_least_92_of_100_test_pictures(workload: ModuleType) -> None:
    network = workload.model().to(memory_format=torch.channels_last)  # a third faster
    assert not network.training
    batches = [*workload.evaluation_data(), *workload.confirmation_data()]
    with torch.inference_mode():
        outputs = torch.cat([network(*inputs) for inputs, _ in batches])
    targets = torch.cat([target for _, target in batches])
    assert targets.bincount().tolist() == [1000] * 10
    assert workload.metrics(outputs, targets)["top1"] >= 0.92
    assert workload.metrics(outputs, (targets + 1) % 10)["top1"] < 0.08


def test_what_is_in_the_project_is_small() -> None:
    assert (FOLDER / "checkpoint.safetensors").stat().st_size <= 2_000_000
    assert sum(file.stat().st_size for file in (FOLDER / "data").iterdir()) <= 8_000_000


def test_no_picture_is_in_two_splits(clothes: ModuleType) -> None:
    pictures = [picture.numpy().tobytes() for split in clothes.SPLITS for picture in clothes.clothes(split)[0]]
    assert len(set(pictures)) == len(pictures)


@pytest.mark.parametrize(("split", "count"), [("evaluation", 2000), ("calibration", 1000), ("confirmation", 8000)])
def test_data_are_balanced_batches_of_scaled_pictures(workload: ModuleType, split: str, count: int) -> None:
    batches = list(getattr(workload, f"{split}_data")())
    pictures = torch.cat([inputs[0] for inputs, _ in batches])
    assert pictures.shape == (count, 1, 28, 28)
    assert pictures.min() == -1
    assert pictures.max() == 1
    assert torch.cat([targets for _, targets in batches]).bincount().tolist() == [count // 10] * 10


def test_training_pictures_are_the_projects_own_without_the_whole(
    workload: ModuleType, clothes: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FASHION_MNIST", str(tmp_path))
    clothes.training_clothes.cache_clear()
    first, again = list(workload.training_data()), next(iter(workload.training_data()))
    assert sum(len(targets) for _, targets in first) == 8000
    assert torch.equal(first[0][0][0], again[0][0])
    assert workload.loss(torch.eye(10) * 50, torch.arange(10)) < 1e-6
    clothes.training_clothes.cache_clear()


def test_training_pictures_are_the_whole_where_it_is_installed(clothes: ModuleType, whole: Path) -> None:
    pictures, classes = clothes.training_clothes()
    assert classes.bincount().tolist() == [30] * 10
    numbers = ((pictures[:, 0, 5, 7] + 1) * 127.5).round().long()
    assert torch.equal(numbers, torch.arange(100, 400) % 256)


def test_augmentation_moves_and_mirrors_and_changes_nothing_else(clothes: ModuleType) -> None:
    picture = torch.full((64, 1, 28, 28), -1.0)
    picture[:, 0, 14, 10] = 1.0
    moved = clothes.augmented(picture, torch.Generator().manual_seed(0))
    assert torch.equal(moved.sum((1, 2, 3)), picture.sum((1, 2, 3)))
    _, _, rows, columns = (moved > 0).nonzero().T
    assert set(rows.tolist()) == set(range(12, 17))
    assert set(columns.tolist()) == set(range(8, 13)) | set(range(15, 20))


@pytest.mark.slow
def test_it_converts_with_every_layer(workload: ModuleType) -> None:
    network = workload.model()
    layers = [module for module in network.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    program = torch.export.export(network, workload.example_inputs()).run_decompositions({})
    package = ct.convert(program, minimum_deployment_target=ct.target.iOS18, skip_model_load=True)
    operations = package._mil_program.functions["main"].operations
    assert sum(op.op_type in {"conv", "linear"} for op in operations) == len(layers) == 10

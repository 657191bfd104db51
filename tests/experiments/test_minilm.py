import csv
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import coremltools as ct
import pytest
import torch
from torch import nn

FOLDER = Path(__file__).parents[2] / "experiments" / "minilm"
SPLITS = ("evaluation", "calibration", "confirmation")


@pytest.fixture(scope="module")
def workload() -> ModuleType:
    sys.path.insert(0, str(FOLDER))
    try:
        spec = spec_from_file_location("minilm_workload", FOLDER / "workload.py")
        module = module_from_spec(spec)
        spec.loader.exec_module(module)
        return module
    finally:
        sys.path.remove(str(FOLDER))


@pytest.fixture(scope="module")
def encoder(workload: ModuleType) -> nn.Module:
    return workload.model()


def _embedded(encoder: nn.Module, *texts: str) -> torch.Tensor:
    with torch.inference_mode():
        return encoder(*sys.modules["sentences"].tokens(texts))


def test_embeddings_are_those_of_the_published_implementation(encoder: nn.Module) -> None:
    """`transformers` computes the same from the same files; padding and masks are its own."""
    transformers = pytest.importorskip("transformers")
    texts = (
        "A man is eating food.",
        "The girl is carrying a baby.",
        "Attention is all you need, they said; and so it was.",
    )
    folder = sys.modules["minilm"].package_folder()
    reference = transformers.BertModel.from_pretrained(folder, local_files_only=True).eval()
    inputs = transformers.AutoTokenizer.from_pretrained(folder)(list(texts), padding=True, return_tensors="pt")
    with torch.inference_mode():
        states = reference(**inputs).last_hidden_state
    mask = inputs["attention_mask"][:, :, None]
    expected = nn.functional.normalize((states * mask).sum(1) / mask.sum(1))
    assert torch.allclose(_embedded(encoder, *texts), expected, atol=2e-5)


def test_sentences_that_mean_the_same_are_nearer(encoder: nn.Module) -> None:
    cat, kitten, bond = _embedded(
        encoder, "A cat sleeps on the sofa.", "A kitten is napping on the couch.", "The bond market fell sharply today."
    )
    assert cat @ kitten > 0.6
    assert cat @ bond < 0.2


def test_padding_counts_for_nothing(encoder: nn.Module) -> None:
    numbers, mask = sys.modules["sentences"].tokens(("Short.",))
    noise = torch.where(mask == 0, 7, numbers).to(torch.int32)
    with torch.inference_mode():
        assert torch.allclose(encoder(numbers, mask), encoder(noise, mask), atol=1e-6)


@pytest.mark.slow
@pytest.mark.matrix(1)
@pytest.mark.parametrize(("split", "at_least"), [("evaluation", 128), ("calibration", 160), ("confirmation", 64)])
def test_data_are_batches_of_tokens(workload: ModuleType, encoder: nn.Module, split: str, at_least: int) -> None:
    batches = list(getattr(workload, f"{split}_data")())
    assert sum(len(inputs[0]) for inputs, _ in batches) >= at_least
    assert all(part.dtype == torch.int32 and part.shape[1] == 64 for inputs, _ in batches for part in inputs)
    inputs, targets = batches[0]
    if split == "calibration":
        assert targets is None
        return
    with torch.inference_mode():
        outputs = encoder(*inputs)
    assert workload.metrics(outputs, targets)["cosine_similarity"] == pytest.approx(1.0, abs=1e-5)
    assert workload.metrics(-outputs, targets)["cosine_similarity"] == pytest.approx(-1.0, abs=1e-5)


def test_splits_share_no_document_and_no_text() -> None:
    with (FOLDER / "sentences.csv").open(newline="", encoding="ascii") as table:
        rows = list(csv.DictReader(table))
    assert len({row["text"] for row in rows}) == len(rows)
    splits_of: dict[tuple[str, str], set[str]] = {}
    for row in rows:
        splits_of.setdefault((row["source"], row["document"]), set()).add(row["split"])
    assert all(len(splits) == 1 for splits in splits_of.values())


@pytest.mark.slow
def test_it_converts_with_its_linear_layers_and_word_table(workload: ModuleType, encoder: nn.Module) -> None:
    program = torch.export.export(encoder, workload.example_inputs()).run_decompositions({})
    package = ct.convert(program, minimum_deployment_target=ct.target.iOS18, skip_model_load=True)
    function = package._mil_program.functions["main"]
    assert sum(op.op_type == "linear" for op in function.operations) == 36
    assert [op.op_type for op in function.operations].count("gather") == 1
    int32 = ct.proto.FeatureTypes_pb2.ArrayFeatureType.INT32
    inputs = {value.name: value.type.multiArrayType for value in package.get_spec().description.input}
    assert set(inputs) == {"tokens", "attention_mask"}
    assert all(kind.dataType == int32 and list(kind.shape) == [1, 64] for kind in inputs.values())

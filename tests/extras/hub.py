"The extra `hub`: tables of Hugging Face's `datasets`, here made on the spot."
import numpy as np
import torch
from datasets import ClassLabel, Dataset, DatasetDict, Features, Image
from ddpm_edu import fit
from ddpm_edu.data import hub_data
from ddpm_edu.models import baseline_model
from PIL import Image as Pillow


def table(n=6):
    pictures = [Pillow.fromarray(np.full((10, 12), 40 * i, np.uint8)) for i in range(n)]
    return Dataset.from_dict({"image": pictures, "label": [i % 2 for i in range(n)]},
                             Features(image=Image(), label=ClassLabel(names=["even", "odd"])))


def test_a_table_becomes_a_data_set(tmp_path):
    data = hub_data(table(), 28, channels=1, cache=False)
    assert data.x.shape == (6, 1, 28, 28) and data.classes == ("even", "odd")
    assert torch.equal(data.y, torch.tensor([0, 1] * 3))
    table().to_parquet(tmp_path/"t.parquet")
    assert torch.equal(hub_data(str(tmp_path/"t.parquet"), 28, channels=1, cache=False).x, data.x)
    assert fit(baseline_model(), data, steps=2, batch_size=4, device="cpu")["steps"] == 2


def test_formats_do_not_matter():
    plain = hub_data(table(), 8, cache=False)
    for kind in ("torch", "numpy"):
        other = hub_data(table().with_format(kind), 8, cache=False)
        assert torch.equal(other.x, plain.x) and torch.equal(other.y, plain.y)
    assert torch.equal(hub_data(DatasetDict(train=table()), 8, "train", cache=False).x, plain.x)

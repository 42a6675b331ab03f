"""A .pt2 file of ``torch.export``: runs with torch alone, and feeds AOTInductor and ExecuTorch."""

import io
import json
from pathlib import Path

import torch

from netvlad.export.checking import Agreement, require_agreement
from netvlad.export.metadata import metadata
from netvlad.export.module import traced
from netvlad.models.place_model import PlaceModel
from netvlad.storage import written_beside

METADATA_FILE = "netvlad.json"


def write_torch_export(model: PlaceModel, path: Path) -> Agreement:
    """Write a model as an exported program, load it again and compare it with the model.

    The program takes and gives what :func:`~netvlad.export.onnx_file.write_onnx` says, and carries
    :func:`~netvlad.export.metadata.metadata` as JSON in its extra file ``netvlad.json``.

    Returns:
        How close the file and the model are.

    Raises:
        ModelError: the file does not give the model's descriptors; no file is left.
        StorageError: the file cannot be written.
    """
    program = traced(model)
    with written_beside(path) as temporary:
        buffer = io.BytesIO()
        torch.export.save(
            program, buffer, extra_files={METADATA_FILE: json.dumps(metadata(model), indent=2)}
        )
        temporary.write_bytes(buffer.getbuffer())
        with temporary.open("rb") as file:
            loaded = torch.export.load(io.BytesIO(file.read())).module()

        return require_agreement(
            model, lambda images: loaded(torch.from_numpy(images)).detach().numpy()
        )

"""``netvlad export``: a model as a file that other programs run."""

from pathlib import Path
from typing import Literal

from netvlad.cli.console import reporting, show
from netvlad.export import metadata, write_onnx, write_torch_export
from netvlad.loading import load_place_model
from netvlad.types import Note, counted

WRITERS = {"onnx": write_onnx, "torch-export": write_torch_export}


def export(
    *,
    model: str,
    output: Path,
    format: Literal["onnx", "torch-export"] = "onnx",
    ckpt: Literal["latest", "best"] = "latest",
) -> None:
    """Write a model as a file that runs without this package, and check it against torch.

    ```
    netvlad export --model runs/Nov23_12-00-00_vgg16_netvlad --output places.onnx
    ```

    The file takes `images`, (batch, 3, height, width) uint8 RGB, and gives `descriptors`, (batch,
    dim) float32 of unit length: preprocessing is inside. Batch, height and width are free; a model
    trained at a fixed --resize takes images of that very size. The file says so itself, in its
    metadata, together with the model's fingerprint, its dimensions and its licence.

    After writing, the file is run on noise and on picture-like images of several sizes. The
    largest difference to torch is printed; above 1e-4 the file is not kept.

    Args:
        model: A run folder, an index, a cluster file (.hdf5), or a backbone such as
            efficientnet-lite0 or vgg16-gem with its published weights.
        output: The file to write, such as places.onnx or places.pt2.
        format: onnx, for onnxruntime, TensorRT, OpenVINO, ... (pip install 'netvlad[export]'); or
            torch-export, for torch.export.load.
        ckpt: Which checkpoint of a run: latest or best.
    """
    with reporting() as report:
        network = load_place_model(model, ckpt=ckpt, report=report)
        report(Note(f"tracing {model} and writing {output}: this takes a while"))
        agreement = WRITERS[format](network, output)
    about = metadata(network)
    show(f"{output}: {about['arch']}, {about['pooling']}, fingerprint {about['fingerprint']}")
    show(f"in  {about['input']}")
    show(f"out {about['output']}")
    show(
        f"checked against torch on {counted(agreement.images, 'images')}: "
        f"largest difference {agreement.largest_difference:.1e}, "
        f"smallest cosine {agreement.smallest_cosine:.6f}"
    )

"""A model as a file that other programs run."""

from netvlad.export.checking import Agreement
from netvlad.export.metadata import metadata
from netvlad.export.onnx_file import write_onnx
from netvlad.export.torch_export_file import write_torch_export

__all__ = ["Agreement", "metadata", "write_onnx", "write_torch_export"]

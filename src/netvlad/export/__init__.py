"""A model as a file that other programs run."""

from netvlad.export.files import Agreement, metadata, write_onnx, write_torch_export

__all__ = ["Agreement", "metadata", "write_onnx", "write_torch_export"]

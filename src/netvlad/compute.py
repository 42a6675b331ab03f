"""Where and how networks run: the one record that everything that runs a network takes."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self, TypeVar

from netvlad.errors import SettingsError

if TYPE_CHECKING:
    import torch

Precision = Literal["32", "bf16", "16"]
Engine = Literal["auto", "torch", "onnxruntime", "openvino"]
ENGINES: tuple[Engine, ...] = ("auto", "torch", "onnxruntime", "openvino")
PRECISIONS: tuple[Precision, ...] = ("32", "bf16", "16")


class Movable(Protocol):
    """A network that lies on a device."""

    @property
    def device(self) -> "torch.device":
        """Where it lies."""

    def to(self, device: Any) -> Self:
        """Move it to a device."""


M = TypeVar("M", bound=Movable)


@dataclass(frozen=True)
class Compute:
    """Where and how to compute; results depend on it by rounding alone.

    Attributes:
        device: Where to compute: ``"auto"`` takes a GPU if there is one; or ``"cpu"``, ``"cuda"``,
            ``"cuda:1"``, as torch calls it.
        precision: Arithmetic of the networks, in bits, or ``"bf16"``; descriptors and losses stay
            in 32 bits.
        batch_size: Images per forward pass where no gradients are needed.
        threads: Threads that decode images; 0 decodes between the passes.
        engine: What runs the network of a model that describes, on a CPU: ``"auto"`` takes the
            fastest that gives the same descriptors; engines other than torch are extras.

    Raises:
        SettingsError: a setting is out of range.

    Example:
        >>> Compute(device="cpu", batch_size=8)
        Compute(device='cpu', precision='32', batch_size=8, threads=8, engine='auto')
    """

    device: str = "auto"
    precision: Precision = "32"
    batch_size: int = 24
    threads: int = 8
    engine: Engine = "auto"

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise SettingsError(
                f"precision is {self.precision!r}; choose one of {', '.join(PRECISIONS)}"
            )
        if self.engine not in ENGINES:
            raise SettingsError(f"engine is {self.engine!r}; choose one of {', '.join(ENGINES)}")
        if self.batch_size < 1 or self.threads < 0:
            raise SettingsError(
                f"batch_size is {self.batch_size} and threads is {self.threads}; at least 1 and 0 "
                "are needed"
            )

    def torch_device(self) -> "torch.device":
        """The device that is meant; torch is imported here, and not before.

        Raises:
            SettingsError: there is no such device.
        """
        import torch  # noqa: PLC0415 - takes a second, and `netvlad --help` should not

        if self.device == "auto":
            return torch.device("cuda" if torch.cuda.is_available() else "cpu")
        try:
            device = torch.device(self.device)
        except (RuntimeError, TypeError) as error:
            raise SettingsError(f"device {self.device}: choose auto, cpu or cuda") from error
        if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
            raise SettingsError(f"device {self.device}: no GPU found; choose cpu or auto")
        return device

    def place(self, model: M) -> M:
        """Move a model to where it is to run; ``"auto"`` leaves one that is on a GPU there."""
        if self.device == "auto" and model.device.type != "cpu":
            return model
        device = self.torch_device()
        return model if model.device == device else model.to(device)

    def autocast(self, device: "torch.device") -> "torch.autocast":
        """The context in which a network runs on ``device``: does nothing for ``"32"``."""
        import torch  # noqa: PLC0415 - see torch_device

        dtype = torch.float16 if self.precision == "16" else torch.bfloat16
        return torch.autocast(device.type, dtype=dtype, enabled=self.precision != "32")

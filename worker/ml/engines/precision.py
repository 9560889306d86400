"""Which precisions a device has units for, and what is taken where nobody says."""

from __future__ import annotations

from app.core.errors import HeadstartError
from app.infra.precision import Choice, Precision, Precisions


def chosen(choice: Choice, device: str) -> Precision:
    """The precision to compute in. Raises precision_unavailable for bf16 where no units are.

    `auto` takes bf16 wherever there are units for it: ADR 18.
    """
    if choice == "f32":
        return choice
    if "bf16" in units(device):
        return "bf16"
    if choice == "auto":
        return "f32"
    raise HeadstartError(
        "precision_unavailable",
        f"this machine's {device} has no units for bf16: set HEADSTART_PRECISION to auto or f32, "
        "or run this process where there are some",
    )


def precisions(choice: Choice, device: str) -> Precisions:
    """The engines of this machine, by name. Raises precision_unavailable."""
    return Precisions(
        default=engine_name(chosen(choice, device), device),
        available=tuple(engine_name(one, device) for one in units(device)),
    )


def units(device: str) -> tuple[Precision, ...]:
    """What `device` computes in at full speed, f32 always among it."""
    return ("f32", "bf16") if _has_bf16(device) else ("f32",)


def engine_name(precision: Precision, device: str) -> str:
    """As models and embedding keys have it: OpenVINO on a CPU, torch elsewhere."""
    return f"openvino-{precision}" if device == "cpu" else torch_name(precision, device)


def torch_name(precision: Precision, device: str) -> str:
    """A torch engine's name."""
    return f"torch-{precision}-{device.partition(':')[0]}"


def _has_bf16(device: str) -> bool:
    """OpenVINO would emulate bf16 slowly where AVX-512 lacks units, and crash on less than that."""
    if device == "cpu":
        from worker.ml.openvino_runtime import ov

        able: list[str] = ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        return "BF16" in able
    import torch

    return bool(torch.cuda.is_bf16_supported())

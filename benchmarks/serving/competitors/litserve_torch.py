"""LitServe with its own batching: 32 at a time, as its documentation recommends."""

from __future__ import annotations

import base64
import sys
from typing import Any

import litserve
import torch

from benchmarks.serving.competitors.network import answer, decode, network


class Predictor(litserve.LitAPI):  # type: ignore[misc]
    """Decodes one by one, predicts in batches."""

    def setup(self, device: str) -> None:
        self.model = network().to(device)

    def decode_request(self, request: dict[str, str]) -> bytes:
        return base64.b64decode(request["image"])

    def batch(self, inputs: list[bytes]) -> torch.Tensor:
        return torch.stack([decode(data) for data in inputs])

    def predict(self, batch: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            logits: torch.Tensor = self.model(batch)
            return logits

    def unbatch(self, output: torch.Tensor) -> list[torch.Tensor]:
        return list(output)

    def encode_response(self, output: torch.Tensor) -> dict[str, Any]:
        return answer(output)


if __name__ == "__main__":
    api = Predictor(max_batch_size=32, batch_timeout=0.01)
    litserve.LitServer(api, accelerator="cpu").run(
        port=int(sys.argv[1]), generate_client_file=False
    )

"""What the service is compared with: FastAPI around PyTorch, one picture at a time.

    python -m benchmarks.plain_service --model data/model.pt --port 3001

Greedy decoding puts the whole prefix through the decoder again at each step, keys and values of the picture's
memory included. A lock lets one request read, the others wait in the thread pool.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from threading import Lock

import torch
import uvicorn
from fastapi import FastAPI, Request
from starlette.concurrency import run_in_threadpool
from torch import Tensor

from components.latex.tokenizer import detokenize
from components.latex.vocabulary import BOS, EOS
from components.model.checkpoint import Checkpoint, load_model
from components.model.network import EncoderDecoder
from components.recognizer.preprocessing import prepare_picture
from components.recognizer.tensors import to_input


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", type=Path, default=Path("data/model.pt"))
    parser.add_argument("--port", type=int, default=3001)
    options = parser.parse_args()
    uvicorn.run(build_app(load_model(options.model)), port=options.port, access_log=False)


def build_app(checkpoint: Checkpoint) -> FastAPI:
    """Two routes: one that reads, one that says that it does."""
    app, lock = FastAPI(), Lock()

    def read(data: bytes) -> str:
        picture = prepare_picture(data, checkpoint.raster).picture
        with lock:
            return read_greedily(checkpoint, torch.from_numpy(to_input(picture, checkpoint.model.multiple)))

    @app.post("/predict")
    async def predict(request: Request) -> dict[str, str]:
        return {"formula": await run_in_threadpool(read, await request.body())}

    @app.get("/readyz")
    async def ready() -> str:
        return "ready"

    return app


@torch.inference_mode()
def read_greedily(checkpoint: Checkpoint, picture: Tensor) -> str:
    """Reads a picture (1, H, W); its memory is made once, all else anew for each token."""
    model = checkpoint.model
    memory = model.encode(picture[None])
    ids = [BOS]
    for _ in range(model.params.max_tokens):
        best = int(_logits(model, memory, torch.tensor([ids])).argmax())
        if best == EOS:
            break
        ids.append(best)
    return detokenize(checkpoint.vocabulary.decode(ids[1:]))


def _logits(model: EncoderDecoder, memory: Tensor, tokens: Tensor) -> Tensor:
    """Of what follows the tokens (1, T)."""
    return model.decode(tokens, model.empty_cache(memory, 1), model.project_memory(memory)).logits[0, -1]


if __name__ == "__main__":
    main()

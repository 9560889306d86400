"""`python -m worker.tensors DESCRIPTOR`: the trainer's child, on one end of its channel."""

import sys

from app.infra import leash

if __name__ == "__main__":
    leash.obey()
    with leash.importing():
        from worker.tensors.process import serve, tensors

    serve(int(sys.argv[1]), tensors)

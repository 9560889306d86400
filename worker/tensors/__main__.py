"""`python -m worker.tensors DESCRIPTOR`: the trainer's child, on one end of its channel."""

import sys

from worker.tensors.process import serve, tensors

if __name__ == "__main__":
    serve(int(sys.argv[1]), tensors)

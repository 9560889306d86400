"""`python -m worker.trainer`: the embedded footing's trainer."""

from worker.trainer.loop import main

if __name__ == "__main__":
    raise SystemExit(main())

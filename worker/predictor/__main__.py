"""`python -m worker.predictor`."""

from worker.predictor.process import main

if __name__ == "__main__":
    main()

"""`python -m worker.predictor`."""

from app.infra import leash

if __name__ == "__main__":
    leash.obey()
    from worker.predictor.process import main

    main()

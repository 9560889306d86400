"""`python -m worker.predictor`."""

from app.infra import leash

if __name__ == "__main__":
    leash.obey()
    with leash.importing():
        from worker.predictor.process import main

    main()

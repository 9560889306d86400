"""`python -m worker.trainer`: the embedded footing's trainer."""

from app.infra.processes import leash

if __name__ == "__main__":
    leash.obey()
    with leash.importing():
        from worker.trainer.loop import main

    raise SystemExit(main())

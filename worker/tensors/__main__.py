"""`python -m worker.tensors DESCRIPTOR`: the trainer's child, on one end of its channel."""

import sys

from app.infra.processes import leash

if __name__ == "__main__":
    leash.obey()
    with leash.importing():
        from app.infra.settings import settings_or_exit
        from app.infra.telemetry import tracing
        from app.infra.telemetry.logs import configure_logs
        from worker.tensors.process import serve, tensors

    settings = settings_or_exit()
    configure_logs(settings.log_level)
    tracing.collect(settings.otlp_endpoint, "tensors")
    serve(int(sys.argv[1]), tensors)

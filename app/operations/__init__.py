"""For those who run the service: probes, metrics, tidying."""

"""Resident memory: the app after 1,000 requests, the trainer over 100 jobs."""

from __future__ import annotations

import argparse

from benchmarks.record import record, shared_data
from benchmarks.service import class_folders, fine_tune, running, upload, wait_until_ready, zipped

REQUESTS, JOBS = 1000, 100


def main() -> None:
    """Requests of every usual kind, then jobs on one dataset with changing seeds."""
    pictures = class_folders(shared_data() / "bccd_cells" / "train", per_class=20)
    with running() as service:
        dataset = upload(service.client, zipped(pictures))["id"]
        wait_until_ready(service.client, dataset)
        model = fine_tune(service.client, dataset)["fine_tuned_model"]
        paths = ["/v1/models", f"/v1/datasets/{dataset}", "/v1/fine_tuning/jobs", "/livez"]
        for number in range(REQUESTS - REQUESTS // 5):
            service.client.get(paths[number % len(paths)]).raise_for_status()
        picture = pictures[0][1].read_bytes()
        for _ in range(REQUESTS // 5):
            service.client.post(
                f"/v1/models/{model}/predictions",
                content=picture,
                headers={"content-type": "image/jpeg"},
            ).raise_for_status()
        app = service.memory("app")
        trainer = []
        for number in range(JOBS):
            fine_tune(service.client, dataset, seed=number)
            if number % 10 == 9:
                trainer.append(round(service.memory("trainer"), 1))
        after = service.memory("app")
    record(
        "memory",
        figure="resident MB of the app after 1,000 requests, and of the trainer (parent and child)"
        " after every 10th of 100 jobs",
        method="/proc/<pid>/statm, descendants included",
        results={"app_mb": round(app, 1), "app_after_jobs_mb": round(after, 1), "trainer": trainer},
    )


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()
    main()

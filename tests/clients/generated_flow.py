"""From an upload to labels with the generated client beside it: `generated_flow.py URL KEY`."""

from __future__ import annotations

import io
import sys

from headstart_client import AuthenticatedClient
from headstart_client.api.datasets import create_dataset_v1_datasets_post as create_dataset
from headstart_client.api.datasets import get_dataset_v1_datasets_dataset_id_get as get_dataset
from headstart_client.api.fine_tuning_jobs import create_job_v1_fine_tuning_jobs_post as create_job
from headstart_client.api.fine_tuning_jobs import get_job_v1_fine_tuning_jobs_job_id_get as get_job
from headstart_client.api.fine_tuning_jobs import list_jobs_v1_fine_tuning_jobs_get as list_jobs
from headstart_client.api.models import get_evaluation_v1_models_model_evaluation_get as evaluation
from headstart_client.api.models import get_model_v1_models_model_get as get_model
from headstart_client.api.open_inference_protocol import (
    infer_v2_models_model_infer_post as infer,
)
from headstart_client.api.predictions import embed_v1_embeddings_post as embed
from headstart_client.api.predictions import (
    predict_v1_models_model_predictions_post as predict,
)
from headstart_client.models import (
    CreateDatasetV1DatasetsPostFilesBody,
    Dataset,
    EmbeddingRequest,
    Embeddings,
    Evaluation,
    InferenceAnswer,
    InferV2ModelsModelInferPostJsonBody,
    Job,
    ModelDetail,
    NewJob,
    PageJob,
    PredictionItem,
    Predictions,
    PredictV1ModelsModelPredictionsPostJsonBody,
    Problem,
)
from headstart_client.types import File


def upload(client: AuthenticatedClient) -> Dataset:
    rows = [f"where is parcel {n},delivery\nrefund invoice {n},billing" for n in range(8)]
    table = io.BytesIO("\n".join(["text,label", *rows]).encode())
    body = CreateDatasetV1DatasetsPostFilesBody(
        file=File(payload=table, file_name="mails.csv", mime_type="text/csv"), name="mails"
    )
    made = create_dataset.sync(client=client, body=body, prefer="wait=120")
    assert isinstance(made, Dataset), made
    while made.status == "processing":  # on a busy machine
        made = get_dataset.sync(made.id, client=client, prefer="wait=120")
        assert isinstance(made, Dataset), made
    assert (made.status, made.num_examples) == ("ready", 16)
    return made


def upload_bare(client: AuthenticatedClient) -> Dataset:
    table = io.BytesIO(b"text,label\nparcel one,delivery\ninvoice two,billing\n")
    made = create_dataset.sync(client=client, body=File(payload=table), filename="two.csv", seed=3)
    assert isinstance(made, Dataset), made
    assert made.filename == "two.csv"
    return made


def main(url: str, key: str) -> None:
    client = AuthenticatedClient(base_url=url, token=key, timeout=None)
    dataset = upload(client)
    assert upload_bare(client).id != dataset.id
    wanted = NewJob(model="all-MiniLM-L6-v2", training_file=dataset.id)
    job = create_job.sync(client=client, body=wanted, prefer="wait=120")
    assert isinstance(job, Job), job
    while job.status in ("validating_files", "queued", "running"):
        job = get_job.sync(job.id, client=client, prefer="wait=120")
        assert isinstance(job, Job), job
    assert job.status == "succeeded"
    assert job.fine_tuned_model is not None
    jobs = list_jobs.sync(client=client)
    assert isinstance(jobs, PageJob)
    assert jobs.data[0].id == job.id  # the newest first: other tests call this service, too
    assert isinstance(get_model.sync(job.fine_tuned_model, client=client), ModelDetail)
    assert isinstance(evaluation.sync(job.fine_tuned_model, client=client), Evaluation)
    ask(client, job.fine_tuned_model)
    refused = create_job.sync(client=client, body=NewJob(model="nope", training_file=dataset.id))
    assert isinstance(refused, Problem), refused
    assert (refused.code, refused.param) == ("unknown_backbone", "model")


def ask(client: AuthenticatedClient, model: str) -> None:
    inputs = {"inputs": [{"text": "my parcel is late"}]}
    asked = PredictV1ModelsModelPredictionsPostJsonBody.from_dict(inputs)
    answer = predict.sync(model, client=client, body=asked)
    assert isinstance(answer, Predictions), answer
    assert isinstance(answer.data[0], PredictionItem)
    assert answer.data[0].label == "delivery"
    tensor = {"name": "text", "shape": [1], "datatype": "BYTES", "data": ["my parcel is late"]}
    question = InferV2ModelsModelInferPostJsonBody.from_dict({"inputs": [tensor]})
    inferred = infer.sync(model, client=client, body=question)
    assert isinstance(inferred, InferenceAnswer), inferred
    assert inferred.outputs[0].data == ["delivery"]
    wanted = EmbeddingRequest(model=model, input_="my parcel")
    embedded = embed.sync(client=client, body=wanted)
    assert isinstance(embedded, Embeddings), embedded
    assert len(embedded.data) == 1


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
    print("done")

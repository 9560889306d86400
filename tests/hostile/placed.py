"""Who may call what: every operation, placed by hand; a new one fails the tests until it is here.

The scopes are those of `app.core.identity`; `admin` includes all but `operator`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

_SINGLE = ("read", "write", "predict", "admin", "operator")

HIDDEN = "open, not in the document"
_CLASSIFY = "/customvision/{version}/prediction/{project}/classify/iterations/{published}"

_PLACED: Mapping[str, str] = {
    "admin": """
        GET /v1/api_keys
        POST /v1/api_keys
        DELETE /v1/api_keys/{key_id}
        GET /v1/api_keys/{key_id}
        POST /v1/api_keys/{key_id}/rotate
        GET /v1/audit-log
        DELETE /v1/organizations/{organization}/content
    """,
    "admin and operator": """
        PATCH /v1/organizations/{organization}
        GET /v1/usage/organizations
    """,
    "any": """
        GET /v1/me
        GET /v2
    """,
    "open": """
        GET /health
        GET /livez
        GET /ping
        GET /readyz
        GET /v2/health/live
        GET /v2/health/ready
        GET /version
    """,
    HIDDEN: """
        GET /
        GET /console/digits.zip
        GET /console/{name:path}
        GET /docs
        GET /docs/{asset}
        GET /guide
        GET /guide/{name}
        GET /openapi.json
    """,
    "operator": """
        GET /metrics
    """,
    "predict": """
        POST CLASSIFY/image
        POST CLASSIFY/image/nostore
        POST CLASSIFY/url
        POST CLASSIFY/url/nostore
        POST /customvision/{version}/training/projects/{project}/quicktest/image
        POST /customvision/{version}/training/projects/{project}/quicktest/url
        POST /embed
        POST /invocations
        GET /label-studio/{alias}
        GET /label-studio/{alias}/health
        POST /label-studio/{alias}/predict
        POST /label-studio/{alias}/validate
        GET /label-studio/{alias}/versions
        POST /label-studio/{alias}/versions
        POST /mlflow/{model}/invocations
        POST /models/{model}
        POST /predict
        POST /tei/{model}/embed
        POST /tei/{model}/predict
        POST /v1/chat/completions
        POST /v1/embeddings
        POST /v1/models/{model}/feedback
        POST /v1/models/{model}/predictions
        POST /v1/models/{model}:predict
        POST /v1/predictions
        POST /v1/responses
        POST /v2/models/{model}/infer
        POST /v2/models/{model}/versions/1/infer
    """,
    "predict and write": """
        POST /v1/batch_predictions
        POST /v1/batches
    """,
    "read": """
        GET /customvision/{version}/training/domains
        GET /customvision/{version}/training/domains/{domain}
        GET /customvision/{version}/training/projects
        GET /customvision/{version}/training/projects/{project}
        GET /customvision/{version}/training/projects/{project}/images
        GET /customvision/{version}/training/projects/{project}/images/count
        GET /customvision/{version}/training/projects/{project}/images/id
        GET /customvision/{version}/training/projects/{project}/images/tagged
        GET /customvision/{version}/training/projects/{project}/images/tagged/count
        GET /customvision/{version}/training/projects/{project}/images/untagged
        GET /customvision/{version}/training/projects/{project}/images/untagged/count
        GET /customvision/{version}/training/projects/{project}/iterations
        GET /customvision/{version}/training/projects/{project}/iterations/{iteration}
        GET /customvision/{version}/training/projects/{project}/iterations/{iteration}/export
        GET /customvision/{version}/training/projects/{project}/iterations/{iteration}/performance
        GET /customvision/{version}/training/projects/{project}/tags
        GET /customvision/{version}/training/projects/{project}/tags/{tag}
        GET /v1/aliases
        GET /v1/aliases/{name}
        GET /v1/aliases/{name}/history
        GET /v1/aliases/{name}/promotions
        GET /v1/aliases/{name}/promotions/{promotion_id}
        GET /v1/aliases/{name}/shadow
        GET /v1/backbones
        GET /v1/batch_predictions
        GET /v1/batch_predictions/{batch_id}
        GET /v1/batch_predictions/{batch_id}/results
        GET /v1/batches
        GET /v1/batches/{batch_id}
        GET /v1/datasets
        GET /v1/datasets/{dataset_id}
        GET /v1/datasets/{dataset_id}/erasures
        GET /v1/datasets/{dataset_id}/erasures/{erasure_id}
        GET /v1/datasets/{dataset_id}/examples
        GET /v1/datasets/{dataset_id}/examples/{example_id}
        GET /v1/datasets/{dataset_id}/examples/{example_id}/content
        GET /v1/datasets/{dataset_id}/examples/{example_id}/thumbnail
        GET /v1/datasets/{dataset_id}/problems
        GET /v1/datasets/{dataset_id}/versions
        GET /v1/datasets/{dataset_id}/versions/{number}
        GET /v1/datasets/{dataset_id}/versions/{number}/diff
        GET /v1/datasets/{dataset_id}/versions/{number}/export
        GET /v1/datasets/{dataset_id}/versions/{number}/statistics
        GET /v1/deletions
        GET /v1/deletions/{deletion_id}
        GET /v1/files
        GET /v1/files/{file_id}
        GET /v1/files/{file_id}/content
        GET /v1/fine_tuning/jobs
        GET /v1/fine_tuning/jobs/{job_id}
        GET /v1/fine_tuning/jobs/{job_id}/checkpoints
        GET /v1/fine_tuning/jobs/{job_id}/events
        GET /v1/hooks
        GET /v1/hooks/{hook_id}
        GET /v1/hooks/{hook_id}/runs
        GET /v1/hooks/{hook_id}/runs/{run_id}
        GET /v1/methods
        GET /v1/models
        GET /v1/models/{model}
        GET /v1/models/{model}/accuracy
        GET /v1/models/{model}/artifacts
        GET /v1/models/{model}/artifacts/{name}
        GET /v1/models/{model}/audit
        GET /v1/models/{model}/comparison
        GET /v1/models/{model}/drift
        GET /v1/models/{model}/evaluation
        GET /v1/models/{model}/evaluation/examples
        GET /v1/models/{model}/feedback
        GET /v1/models/{model}/feedback/{feedback_id}
        GET /v1/models/{model}/logged/{logged_id}/content
        GET /v1/models/{model}/suggestions
        GET /v1/organizations/{organization}
        GET /v1/system
        GET /v1/uploads/{upload_id}
        GET /v1/uploads/{upload_id}/parts
        GET /v1/usage
        GET /v1/webhooks
        GET /v1/webhooks/{webhook_id}
        GET /v1/webhooks/{webhook_id}/deliveries
        GET /v1/webhooks/{webhook_id}/deliveries/{delivery_id}
    """,
    "read or predict": """
        GET /info
        GET /tei/{model}/info
        GET /v2/models/stats
        GET /v2/models/{model}
        GET /v2/models/{model}/config
        GET /v2/models/{model}/ready
        GET /v2/models/{model}/stats
        GET /v2/models/{model}/versions/1
        GET /v2/models/{model}/versions/1/config
        GET /v2/models/{model}/versions/1/ready
        GET /v2/models/{model}/versions/1/stats
        POST /v2/repository/index
    """,
    "write": """
        POST /customvision/{version}/training/projects
        DELETE /customvision/{version}/training/projects/{project}
        PATCH /customvision/{version}/training/projects/{project}
        DELETE /customvision/{version}/training/projects/{project}/images
        POST /customvision/{version}/training/projects/{project}/images
        POST /customvision/{version}/training/projects/{project}/images/files
        POST /customvision/{version}/training/projects/{project}/images/tags
        POST /customvision/{version}/training/projects/{project}/images/urls
        DELETE /customvision/{version}/training/projects/{project}/iterations/{iteration}
        PATCH /customvision/{version}/training/projects/{project}/iterations/{iteration}
        POST /customvision/{version}/training/projects/{project}/iterations/{iteration}/export
        DELETE /customvision/{version}/training/projects/{project}/iterations/{iteration}/publish
        POST /customvision/{version}/training/projects/{project}/iterations/{iteration}/publish
        POST /customvision/{version}/training/projects/{project}/tags
        DELETE /customvision/{version}/training/projects/{project}/tags/{tag}
        POST /customvision/{version}/training/projects/{project}/train
        POST /label-studio/{alias}/setup
        POST /label-studio/{alias}/webhook
        DELETE /v1/aliases/{name}
        PATCH /v1/aliases/{name}
        PUT /v1/aliases/{name}
        POST /v1/aliases/{name}/promotions
        POST /v1/aliases/{name}/rollback
        DELETE /v1/batch_predictions/{batch_id}
        POST /v1/batch_predictions/{batch_id}/cancel
        POST /v1/batches/{batch_id}/cancel
        POST /v1/datasets
        DELETE /v1/datasets/{dataset_id}
        PATCH /v1/datasets/{dataset_id}
        POST /v1/datasets/{dataset_id}/erasures
        PATCH /v1/datasets/{dataset_id}/examples
        POST /v1/datasets/{dataset_id}/examples
        DELETE /v1/datasets/{dataset_id}/examples/{example_id}
        PATCH /v1/datasets/{dataset_id}/examples/{example_id}
        POST /v1/files
        DELETE /v1/files/{file_id}
        POST /v1/fine_tuning/jobs
        POST /v1/fine_tuning/jobs/{job_id}/cancel
        POST /v1/fine_tuning/jobs/{job_id}/pause
        POST /v1/fine_tuning/jobs/{job_id}/resume
        POST /v1/hooks
        DELETE /v1/hooks/{hook_id}
        PATCH /v1/hooks/{hook_id}
        POST /v1/hooks/{hook_id}/secret
        POST /v1/hooks/{hook_id}/trigger
        DELETE /v1/models/{model}
        DELETE /v1/models/{model}/calibrate
        POST /v1/models/{model}/calibrate
        POST /v1/models/{model}/feedback/apply
        DELETE /v1/models/{model}/feedback/{feedback_id}
        POST /v1/uploads
        POST /v1/uploads/{upload_id}/cancel
        POST /v1/uploads/{upload_id}/complete
        POST /v1/uploads/{upload_id}/parts
        POST /v1/webhooks
        DELETE /v1/webhooks/{webhook_id}
        PATCH /v1/webhooks/{webhook_id}
        POST /v1/webhooks/{webhook_id}/deliveries/{delivery_id}/redeliver
        POST /v1/webhooks/{webhook_id}/secret
        POST /v1/webhooks/{webhook_id}/test
    """,
}
"""Operations by what a key must have; `any` is any key at all, `open` needs none."""


def placed() -> dict[str, str]:
    """What a key must have, by operation (`GET /v1/models`)."""
    found: dict[str, str] = {}
    for need, operations in _PLACED.items():
        for line in filter(None, map(str.strip, operations.splitlines())):
            operation = line.replace("CLASSIFY", _CLASSIFY)
            assert operation not in found, f"{operation} is placed twice"
            found[operation] = need
    return found


def opens(need: str, scopes: Collection[str]) -> bool:
    """Whether a key with these scopes may call what needs `need`."""
    if need in ("any", "open", HIDDEN):
        return True
    if " or " in need:
        return any(opens(one, scopes) for one in need.split(" or "))
    if " and " in need:
        return all(opens(one, scopes) for one in need.split(" and "))
    assert need in _SINGLE, need
    return need in scopes or ("admin" in scopes and need != "operator")

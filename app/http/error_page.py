"""The page of all error codes: `python -m app.http.error_page > docs/errors.md`."""

from __future__ import annotations

import sys

from app.core.errors import TITLES
from app.core.openai.problems import STATUSES
from app.http.exception_handlers import FINAL_CONFLICTS

_HEAD = """\
# Errors

Every error is `application/problem+json` (RFC 9457):

```json
{"type": "urn:headstart:problem:not_found", "title": "No such resource", "status": 404,
 "detail": "there is no such model", "message": "there is no such model",
 "code": "not_found", "param": "model", "request_id": "…"}
```

`code` is stable, and what a program should look at; `message` (the same as `detail`) is for
people; `param` names the field, member or row. A refused upload has `errors` as well, up to 100
of `{code, message, param}`: all that is wrong with it, of which the problem is the first. The same
codes stand in a dataset's `problems`, in an input's `error` of a list of predictions, and in the
`error` of a dataset, job or batch that has failed. A 503 says in `Retry-After` when to try again;
a final conflict, which waiting does not end, has the header `x-should-retry: false`. Under `/v1`
and `/v2` a problem has the member `error` as well.

This page is made by `make errors-page` from `app/core/errors.py` and
`app/http/exception_handlers.py`.

| status | code | title |
|---|---|---|
"""


def page() -> str:
    """The page in Markdown, codes in the order of their status."""
    codes = sorted(TITLES, key=STATUSES.__getitem__)
    return _HEAD + "".join(_row(code) for code in codes)


def _row(code: str) -> str:
    final = "; final" if code in FINAL_CONFLICTS else ""
    return f"| {STATUSES[code]} | `{code}` | {TITLES[code]}{final} |\n"


if __name__ == "__main__":
    sys.stdout.write(page())

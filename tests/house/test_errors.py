"""One table of error codes: each has a status, is raised from somewhere, and stands on the page."""

from __future__ import annotations

import re
from pathlib import Path

from app.core.errors import TITLES
from app.core.openai.problems import STATUSES
from app.http.error_page import page
from tests.house.reading import sources, text_of


def test_every_code_has_a_status_and_a_title() -> None:
    assert set(STATUSES) == set(TITLES)


def test_every_raised_code_is_in_the_table() -> None:
    raised = {
        code
        for path in sources("app", "worker")
        for code in re.findall(r'HeadstartError\(\s*"([a-z_]+)"', text_of(path))
    }
    assert raised <= set(TITLES)


def test_the_page_is_current() -> None:
    assert text_of(Path("docs/errors.md")) == page(), "run: make errors-page"

"""Apps of one process: what is derived from their routes is shared, what they hold is not."""

from __future__ import annotations

from pathlib import Path

import pytest
from fastapi.routing import iter_route_contexts

from app.infra.settings import Settings
from app.main import create_app

pytestmark = pytest.mark.slow


def test_apps_share_what_is_derived_from_their_routes_and_no_settings(tmp_path: Path) -> None:
    one, other = (
        create_app(Settings(data_dir=tmp_path, root_path=prefix)) for prefix in ("/one", "/other")
    )
    assert [app.servers[0]["url"] for app in (one, other)] == ["/one", "/other"]
    assert one.state is not other.state
    one.add_route("/of-one", lambda _: None)
    first, second = (
        {route.path: getattr(route, "dependant", None) for route in iter_route_contexts(app.routes)}
        for app in (one, other)
    )
    assert first.keys() - second.keys() == {"/of-one"}
    derived = {path for path, found in first.items() if found is not None}
    assert len(derived) > 100
    assert all(first[path] is second[path] for path in derived)

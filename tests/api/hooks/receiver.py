"""A receiver of webhooks on loopback, which fails as often as it is told to."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Receiver:
    """What came: headers and body of every call, answered with what `answer` says.

    `stumbling`: the first call of every event is refused, whatever else is.
    """

    answer: Callable[[int], int] = lambda _: 200
    stumbling: bool = False
    url: str = ""
    calls: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    taken: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


@contextmanager
def receiving(
    answer: Callable[[int], int] = lambda _: 200, *, stumbling: bool = False, at_once: bool = False
) -> Iterator[Receiver]:
    """Take calls until the block ends; `answer(n)` is the status of the n-th, from 0.

    `at_once`: a call is noted when it comes, and no other waits for its answer.
    """
    found = Receiver(answer, stumbling)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", "0")))
            call = ({name.lower(): value for name, value in self.headers.items()}, body)
            if at_once:
                with found.lock:
                    found.calls.append(call)
                self._say(found.answer(len(found.calls) - 1))
                return
            with found.lock:
                known = {headers["webhook-id"] for headers, _ in found.calls}
                status = found.answer(len(found.calls))
                if found.stumbling and call[0]["webhook-id"] not in known:
                    status = 500
                found.calls.append(call)
                if status < 300:
                    found.taken.append(call)
            self._say(status)

        def _say(self, status: int) -> None:
            self.send_response(status)
            if status == 302:
                self.send_header("location", found.url)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.url = f"http://127.0.0.1:{server.server_port}/hook"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

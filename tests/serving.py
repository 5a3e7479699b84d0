"""An application on a real socket, in a thread of the test."""

import threading
import time
from contextlib import contextmanager

import uvicorn


@contextmanager
def serving(app, **config):
    """Serve an app on a free port of the loopback, and yield its URL."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, **config))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive(), "the server did not start"
            time.sleep(0.01)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()

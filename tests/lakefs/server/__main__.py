"""Run the fake by itself: ``python -m tests.lakefs.server --port 0``."""

import argparse
import signal

from tests.lakefs.server.serving import KEY, SECRET, running_server


def main():
    parser = argparse.ArgumentParser(description="a fake lakeFS server on 127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--key", default=KEY)
    parser.add_argument("--secret", default=SECRET)
    asked = parser.parse_args()
    with running_server(port=asked.port, key=asked.key, secret=asked.secret) as server:
        for name, value in server.environment.items():
            print(f"export {name}='{value}'", flush=True)  # noqa: T201 — it is a command
        signal.sigwait({signal.SIGINT, signal.SIGTERM})


if __name__ == "__main__":
    main()

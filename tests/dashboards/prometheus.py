"""Prometheus as a process: scrapes what it is told, loads rules, and answers queries."""

import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.ports import free_port

PATIENCE = 60.0
MISSING = "Prometheus: the system package prometheus is not installed"
needs_prometheus = pytest.mark.skipif(shutil.which("prometheus") is None, reason=MISSING)
needs_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason=MISSING)


def target(url: str, **labels: str) -> dict[str, Any]:
    """One target, with labels as the Prometheus Operator puts them on those of a monitor."""
    return {"targets": [url.removeprefix("http://")], "labels": labels}


class Prometheus:
    """Scrapes and evaluates every second."""

    def __init__(self, folder: Path, jobs: dict[str, list[dict[str, Any]]], rules: str) -> None:
        (folder / "rules.yaml").write_text(rules)
        config = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": ["rules.yaml"],
            "scrape_configs": [{"job_name": job, "static_configs": targets} for job, targets in jobs.items()],
        }
        (folder / "prometheus.yaml").write_text(yaml.safe_dump(config))
        address = f"127.0.0.1:{free_port()}"
        self.log = folder / "prometheus.log"
        with self.log.open("wb") as log:
            self.child = subprocess.Popen(
                [
                    "prometheus",
                    f"--config.file={folder / 'prometheus.yaml'}",
                    f"--storage.tsdb.path={folder / 'data'}",
                    f"--web.listen-address={address}",
                ],
                stdout=log,
                stderr=log,
            )
        self.http = httpx.Client(base_url=f"http://{address}/api/v1", transport=httpx.HTTPTransport(retries=10))

    def get(self, path: str, **parameters: str) -> Any:
        """What the API answers; AssertionError with its own words where it refuses."""
        answer = self.http.post(path, data=parameters) if parameters else self.http.get(path)
        body = answer.json()
        assert body["status"] == "success", (parameters, body)
        return body["data"]

    def query(self, expr: str) -> list[dict[str, Any]]:
        """Samples of an expression, now."""
        result = self.get("/query", query=expr)
        assert result["resultType"] == "vector", (expr, result)
        return list(result["result"])

    def until(self, check: Any, what: str) -> Any:
        """Ask until it holds, with a bound; gives what it said."""
        end = time.monotonic() + PATIENCE
        while not (found := self._try(check)):
            if self.child.poll() is not None or time.monotonic() > end:
                raise AssertionError(f"not in {PATIENCE} s: {what}\n{self.log.read_text()[-3000:]}")
            time.sleep(0.1)
        return found

    @staticmethod
    def _try(check: Any) -> Any:
        try:
            return check()
        except (httpx.TransportError, ValueError):  # not listening yet, or not ready
            return None

    def end(self) -> None:
        self.http.close()
        self.child.terminate()
        self.child.wait(10)

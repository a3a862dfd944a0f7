from __future__ import annotations

import json
import socket
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import bcrypt
import pytest
import trustme
from exporting import Exporting, exporting
from test_deploy import tool

from probes.simulator.profiles import profile
from probes.simulator.server import Served

CONFIG = """
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: ["{rules}"]
scrape_configs:
  - {{job_name: canvas-probes, static_configs: [{{targets: ["{address}"]}}]}}
  - job_name: canvas-probes-on-demand
    metrics_path: /probe
    params: {{module: [latency]}}
    static_configs: [{{targets: [beta]}}]
    relabel_configs:
      - {{source_labels: [__address__], target_label: __param_target}}
      - {{source_labels: [__param_target], target_label: instance}}
      - {{target_label: __address__, replacement: "{address}"}}
"""


SECURE = """
global: {{scrape_interval: 1s}}
scrape_configs:
  - &right
    job_name: right
    scheme: https
    tls_config: {{ca_file: "{folder}/ca.pem"}}
    basic_auth: {{username: alice, password: secret}}
    static_configs: [{{targets: ["{address}"], labels: {{scheme: https}}}}]
  - {{<<: *right, job_name: wrong, basic_auth: {{username: alice, password: guess}}}}
"""


@pytest.fixture(scope="module")
def exporter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exporting]:
    place = tmp_path_factory.mktemp("export")
    with Served(profile("sandbox").changed(time_scale=0.05)) as simulator, exporting(place, simulator.url, simulator.token) as one:
        yield one


def query(port: int, words: str) -> list[dict[str, Any]]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/query?query={urllib.parse.quote(words)}", timeout=5) as answer:
        result: list[dict[str, Any]] = json.load(answer)["data"]["result"]
    return result


def until(port: int, words: str, least: float, within_s: float = 25.0) -> dict[str, Any]:
    """The only series of a query, once its value is `least`."""
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        try:
            found = query(port, words)
        except OSError:
            found = []
        if found and float(found[0]["value"][1]) >= least:
            assert len(found) == 1
            return found[0]
        time.sleep(0.2)
    raise AssertionError(f"{words} did not reach {least}")


@pytest.mark.slow
def test_promtool_lint(exporter: Exporting) -> None:
    """`promtool check metrics` has nothing to say of what the exporter exposes, nor of an answer of /probe."""
    text = exporter.when(lambda told: 'canvas_probe_rounds_total{canvas_instance="beta",scenario="reach"} 1' in told)
    with urllib.request.urlopen(f"{exporter.url}/probe?target=beta", timeout=10) as answer:
        probed = answer.read().decode()
    for one in (text, probed):
        done = subprocess.run([tool("promtool"), "check", "metrics"], input=one, capture_output=True, text=True, timeout=30, check=False)
        assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.slow
def test_prometheus_scrapes(exporter: Exporting, tmp_path: Path) -> None:
    """Debian's Prometheus scrapes both ways and runs the rules: a counter is what the exporter counted, and rises by one a round."""
    rules = Path(__file__).parent.parent / "probes" / "deploy" / "rules.yml"
    config = CONFIG.format(rules=rules, address=exporter.url.removeprefix("http://"))
    who = 'canvas_instance="beta", scenario="reach", call="GET /api/v1/users/self", outcome="ok"'
    with scraping(tmp_path, config) as port:
        until(port, f'increase(canvas_probe_requests_total{{job="canvas-probes", {who}}}[1m])', 3.0)
        found = query(
            port,
            f'{{__name__=~"canvas_probe_rounds_total|canvas_probe_requests_total", job="canvas-probes", {who.partition(", call")[0]}, '
            'call=~"|GET /api/v1/users/self", outcome=~"|ok"}',
        )
        values = {one["metric"]["__name__"]: float(one["value"][1]) for one in found}
        assert values["canvas_probe_requests_total"] == values["canvas_probe_rounds_total"] >= 3.0
        asked = until(port, 'canvas_probe_requests_total{job="canvas-probes-on-demand", outcome="ok"}', 2.0)
        assert (asked["metric"]["instance"], asked["metric"]["scenario"], asked["value"][1]) == ("beta", "latency", "2")
        assert until(port, "probe_success", 1.0)["value"][1] == "1"
        ratio = 'canvas_instance:canvas_probe_errors:ratio_rate5m{job="canvas-probes"}'
        assert until(port, ratio, 0.0)["value"][1] == "0"
        assert query(port, "ALERTS") == []


@pytest.mark.slow
def test_prometheus_scrapes_behind_a_password(exporter: Exporting, tmp_path: Path) -> None:
    """With a web-config Prometheus scrapes over TLS with the right password, and is kept out with a wrong one."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    web = tmp_path / "web.yml"
    hashed = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()
    web.write_text(f"tls_server_config: {{cert_file: server.pem, key_file: server.pem}}\nbasic_auth_users: {{alice: {hashed}}}\n")
    target = exporter.config.read_text(encoding="utf-8").split('"')[1]
    with (
        exporting(tmp_path, target, exporter.token, more=("--web-config", str(web))) as one,
        scraping(tmp_path, SECURE.format(address=one.url.removeprefix("https://"), folder=tmp_path)) as port,
    ):
        assert until(port, 'canvas_probe_rounds_total{job="right"}', 1.0)["metric"]["scheme"] == "https"
        assert query(port, 'up{job="right"}')[0]["value"][1] == "1"
        assert until(port, 'up{job="wrong"}', 0.0)["value"][1] == "0"


@contextmanager
def scraping(place: Path, text: str) -> Iterator[int]:
    """The port of a Prometheus that runs with this configuration while the block lasts."""
    config = place / "prometheus.yml"
    config.write_text(text, encoding="utf-8")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    words = [f"--config.file={config}", f"--storage.tsdb.path={place / 'data'}", f"--web.listen-address=127.0.0.1:{port}"]
    process = subprocess.Popen(
        [tool("prometheus"), *words, "--log.level=error"], cwd=place, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield port
    finally:
        process.terminate()
        process.wait(15)

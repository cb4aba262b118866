"""Dockerfile, compose.yaml, the workflows and what containers are given, as far as no engine is needed."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

pytestmark = pytest.mark.embedded

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
# What runs our own image.
OURS = {"migrate", "web", "worker"}


def _run(program: str, *arguments: str) -> str:
    done = subprocess.run([BIN / program, *arguments], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _yaml(path: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / path).read_text())
    return found


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return _yaml("compose.yaml")


def test_the_dockerfile_is_what_hadolint_likes() -> None:
    _run("hadolint", "--failure-threshold", "warning", "Dockerfile")


def test_compose_workflows_and_dependabot_have_the_shape_of_their_schemas() -> None:
    workflows = [str(path) for path in (ROOT / ".github" / "workflows").glob("*.yml")]
    assert len(workflows) == 2
    _run("check-jsonschema", "--builtin-schema", "vendor.compose-spec", "compose.yaml")
    _run("check-jsonschema", "--builtin-schema", "vendor.github-workflows", *workflows)
    _run("check-jsonschema", "--builtin-schema", "vendor.dependabot", ".github/dependabot.yml")


def test_the_workflows_have_no_hole_that_zizmor_knows() -> None:
    _run("zizmor", "--offline", "--no-progress", "--quiet", ".github")


def test_every_job_may_do_little_and_ends_by_itself() -> None:
    for path in (ROOT / ".github" / "workflows").glob("*.yml"):
        workflow = yaml.safe_load(path.read_text())
        assert workflow["permissions"] in ({}, {"contents": "read"}), path
        for name, job in workflow["jobs"].items():
            assert "uses" in job or job["timeout-minutes"] <= 60, name
    deploy = _yaml(".github/workflows/release.yml")["jobs"]["deploy"]
    assert (deploy["environment"], deploy["needs"], deploy["permissions"]) == ("production", "publish", {})


def test_only_web_listens_and_grafana_to_its_own_host(compose: dict[str, Any]) -> None:
    published = {name: service["ports"] for name, service in compose["services"].items() if "ports" in service}
    assert set(published) == {"web", "grafana"}
    assert published["grafana"] == ["127.0.0.1:${GRAFANA_PORT:-3000}:3000"]
    assert compose["networks"]["back"] == {"internal": True}
    for name, service in compose["services"].items():
        assert service["networks"], name
        assert not {"network_mode", "privileged"} & service.keys(), name
    assert "front" not in compose["services"]["postgres"]["networks"]


def test_every_service_is_held_in_bounds(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert {"cpus", "memory"} <= service["deploy"]["resources"]["limits"].keys(), name
        assert name in {"migrate", "web"} or "test" in service["healthcheck"], name
        # Neo4j and Kestra write beside their volumes.
        assert service.get("read_only") or name in {"neo4j", "kestra"}, name
        assert name in OURS or re.search(r":[^:]*\d", service["image"]), name


def test_the_others_wait_until_the_database_is_prepared(compose: dict[str, Any]) -> None:
    for name in ("web", "worker"):
        waits = compose["services"][name]["depends_on"]
        assert waits["migrate"] == {"condition": "service_completed_successfully"}
        assert waits["postgres"] == waits["redis"] == {"condition": "service_healthy"}


def test_every_secret_comes_by_a_file_that_make_secrets_makes(compose: dict[str, Any], tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    subprocess.run(["make", "secrets", f"SECRETS={folder}"], cwd=ROOT, check=True, capture_output=True)
    assert {file.name for file in folder.iterdir()} == set(compose["secrets"])
    assert folder.stat().st_mode & 0o077 == 0
    for name, service in compose["services"].items():
        by_file = {value for value in service.get("environment", {}).values() if str(value).startswith("/run/secrets/")}
        given = {f"/run/secrets/{secret}" for secret in service.get("secrets", [])}
        assert by_file <= given, name
        in_clear = [key for key in service.get("environment", {}) if re.search(r"(KEY|KEYS|PASSWORD|TOKEN)$", key)]
        assert in_clear == [], name


def test_secrets_that_are_there_stay(tmp_path: Path) -> None:
    command = ["make", "secrets", f"SECRETS={tmp_path}"]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    first = {file.name: file.read_text() for file in tmp_path.iterdir()}
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == first
    assert all(len(text.strip()) >= 32 for name, text in first.items() if name != "openai_api_key")
    random = [text for name, text in first.items() if name != "openai_api_key"]
    assert len(set(random)) == len(random)


def test_what_is_mounted_is_there(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert source in compose["volumes"] or (ROOT / source).exists(), volume


def test_prometheus_asks_the_services_that_answer(compose: dict[str, Any]) -> None:
    jobs = {job["job_name"]: job for job in _yaml("telemetry/prometheus/prometheus.yml")["scrape_configs"]}
    web, worker = jobs["mutirao-web"], jobs["mutirao-worker"]
    assert web["dns_sd_configs"][0]["names"] == ["web"]
    for job in (web, worker):
        assert job["authorization"]["credentials_file"] == "/run/secrets/metrics_token"
    assert "metrics_token" in compose["services"]["prometheus"]["secrets"]
    port = compose["services"]["worker"]["environment"]["MUTIRAO_WORKER_METRICS_PORT"]
    assert worker["dns_sd_configs"][0] == {
        "names": ["worker"],
        "type": "A",
        "port": int(port),
        "refresh_interval": "15s",
    }


def test_the_dashboard_asks_its_provisioned_datasource() -> None:
    dashboard = json.loads((ROOT / "telemetry/grafana/dashboards/mutirao.json").read_text())
    source = _yaml("telemetry/grafana/datasources/prometheus.yml")["datasources"][0]
    assert source["url"] == "http://prometheus:9090"
    assert len(dashboard["panels"]) >= 12
    targets = [target for panel in dashboard["panels"] for target in panel["targets"]]
    assert {target["datasource"]["uid"] for target in targets} == {source["uid"]}
    for target in targets:
        assert target["expr"].count("(") == target["expr"].count(")")
        assert re.search(r"\bmutirao_[a-z_]+", target["expr"]), target["expr"]
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])

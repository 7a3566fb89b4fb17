"""Checks of compose, image, Kubernetes and systemd files that need no daemon and no cluster."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from infra.kafka.java import kafka_version
from pivotwatch.config.config import Config, Role, load
from pivotwatch.web.checks import refuse_open_page
from pivotwatch.web.settings import read_settings
from tests.infra.files import INFRA, ROOT

KUBERNETES = INFRA / "kubernetes"
MEMBERS = ("accounts", "networks", "delivery", "ingest")
WORKLOADS = (*MEMBERS, "web")


def documents(path: Path) -> list[dict[str, Any]]:
    return [one for one in yaml.safe_load_all(path.read_text()) if one]


def compose() -> dict[str, Any]:
    return yaml.safe_load((INFRA / "compose" / "compose.yaml").read_text())


def workers() -> dict[str, dict[str, Any]]:
    return {name: one for name, one in compose()["services"].items() if "worker" in one.get("command", ())}


def check_environment(names: set[str]) -> None:
    """Check that every PIVOTWATCH_ variable is a key of the configuration."""
    ours = {name.removeprefix("PIVOTWATCH_").lower() for name in names if name.startswith("PIVOTWATCH_")}
    assert ours - {"config"} <= set(Config.model_fields)


def run(*command: str, cwd: Path = ROOT) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


# Compose.


def test_every_service_has_a_health_check_and_minimal_rights():
    for name, service in compose()["services"].items():
        assert "healthcheck" in service, name
        for port in service.get("ports", ()):
            assert port.startswith("127.0.0.1:"), f"{name} listens beyond 127.0.0.1"
        if name != "kafka":
            assert service["read_only"], name
            assert service["cap_drop"] == ["ALL"], name
            assert not service["user"].startswith(("0", "root")), name
            assert service["security_opt"] == ["no-new-privileges:true"]


def test_mounted_files_exist():
    for service in compose()["services"].values():
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            if source.startswith("."):
                assert (INFRA / "compose" / source).exists(), source
            else:
                assert source in compose()["volumes"]


def test_workers_have_known_roles_names_and_a_valid_configuration():
    for name, service in workers().items():
        _, _, role, _, instance = service["command"]
        assert role in get_args(Role)
        assert name in (role, instance)
        check_environment(set(service["environment"]))
    load(INFRA / "compose" / "pivotwatch.toml")


def test_prometheus_scrapes_the_workers_of_compose():
    targets = yaml.safe_load((INFRA / "prometheus" / "targets" / "workers.yml").read_text())
    watched = {(t, group["labels"]["role"]) for group in targets for t in group["targets"]}
    always = {name: one for name, one in workers().items() if "profiles" not in one}
    assert watched == {
        (f"{name}:{one['environment']['PIVOTWATCH_WEB_PORT']}", one["command"][2])
        for name, one in always.items()
    }


def test_kafka_has_the_version_of_the_tests():
    assert compose()["services"]["kafka"]["image"] == f"apache/kafka:{kafka_version()}"


def test_docker_compose_accepts_the_file():
    if shutil.which("docker") and run_quietly("docker", "compose", "version"):
        variables = ("PIVOTWATCH_GRAFANA_PASSWORD_FILE=LICENSE", "PIVOTWATCH_WEB_TOKEN_FILE=LICENSE")
        run("env", *variables, "docker", "compose", "-f", "infra/compose/compose.yaml", "config", "--quiet")


def run_quietly(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


# The image.


def test_the_image_has_two_stages_copies_existing_files_and_runs_without_root():
    lines = (INFRA / "docker" / "Dockerfile").read_text().splitlines()
    assert sum(line.startswith("FROM ") for line in lines) == 2
    let_in = (INFRA / "docker" / "Dockerfile.dockerignore").read_text().splitlines()
    for line in lines:
        if line.startswith("COPY ") and "--from" not in line:
            for source in line.split()[1:-1]:
                assert (ROOT / source).exists()
                assert f"!{source}" in let_in
    last = lines[max(i for i, line in enumerate(lines) if line.startswith("FROM ")) :]
    assert "USER 10001:10001" in last
    assert not any(line.startswith("COPY") and "--from=build" not in line for line in last)


# Kubernetes.


def workload(name: str) -> dict[str, dict[str, Any]]:
    return {one["kind"]: one for one in documents(KUBERNETES / "base" / f"{name}.yaml")}


@pytest.mark.parametrize("name", WORKLOADS)
def test_a_workload_has_stable_names_probes_and_minimal_rights(name: str):
    parts = workload(name)
    # The page has no consumer group and no state, so its pods need no stable names.
    running = parts["StatefulSet" if name in MEMBERS else "Deployment"]["spec"]
    budget = parts["PodDisruptionBudget"]["spec"]
    assert running["selector"] == budget["selector"]
    assert running["selector"]["matchLabels"] == parts["Service"]["spec"]["selector"]
    assert running["selector"]["matchLabels"] == running["template"]["metadata"]["labels"]
    assert running.get("serviceName", "web") == parts["Service"]["metadata"]["name"]
    assert budget["maxUnavailable"] == 1
    pod = running["template"]["spec"]
    (container,) = pod["containers"]
    assert container["args"] == ["worker", "--role", name, "--instance", "$(POD_NAME)"]
    assert name in get_args(Role)
    environment = {one["name"]: one for one in container["env"]}
    check_environment(set(environment))
    assert environment["POD_NAME"]["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.name"
    assert environment["PIVOTWATCH_WEB_PORT"]["value"] == str(container["ports"][0]["containerPort"])
    assert {"livenessProbe", "readinessProbe"} <= set(container)
    port = environment["PIVOTWATCH_WEB_PORT"]["value"]
    assert running["template"]["metadata"]["annotations"]["prometheus.io/port"] == port
    for probe, path in (("startup", "/health"), ("liveness", "/health"), ("readiness", "/ready")):
        assert container[f"{probe}Probe"]["httpGet"] == {"path": path, "port": "http"}
    assert set(container["resources"]["requests"]) == {"cpu", "memory"}
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    mounted = {mount["name"] for mount in container["volumeMounts"]}
    assert mounted == {volume["name"] for volume in pod["volumes"]}


def test_kustomizations_name_existing_files_and_valid_configurations():
    for path in KUBERNETES.rglob("kustomization.yaml"):
        for content in documents(path):
            for key in ("resources", "components"):
                assert all((path.parent / name).exists() for name in content.get(key, ()))
            for made in content.get("configMapGenerator", ()):
                for name in made["files"]:
                    assert load(path.parent / name, sasl_username="u").security_protocol == "SASL_SSL"


@pytest.mark.parametrize("name", ["base", "overlays/example"])
def test_the_page_of_kubernetes_requires_a_login(name: str):
    (container,) = workload("web")["Deployment"]["spec"]["template"]["spec"]["containers"]
    environment = {one["name"]: one.get("value") for one in container["env"]}
    config = load(
        KUBERNETES / name / "pivotwatch.toml",
        sasl_username=environment["PIVOTWATCH_SASL_USERNAME"],
        web_host=environment["PIVOTWATCH_WEB_HOST"],
    )
    settings = read_settings(config.web)
    refuse_open_page(config, settings)
    mounts = [mount["mountPath"] for mount in container["volumeMounts"]]
    for person in settings.people:
        assert str(person.token_file.parent) in mounts


def test_the_page_of_compose_requires_a_login():
    service = workers()["web"]
    config = load(
        INFRA / "compose" / "pivotwatch.toml", web_host=service["environment"]["PIVOTWATCH_WEB_HOST"]
    )
    settings = read_settings(config.web)
    refuse_open_page(config, settings)
    assert {str(person.token_file) for person in settings.people} == {
        f"/run/secrets/{name}" for name in service["secrets"]
    }
    assert config.delivery["base_url"].endswith(service["ports"][0].rpartition(":")[0])


def test_only_ingest_and_delivery_are_scaled():
    found = documents(KUBERNETES / "components" / "autoscaling" / "scalers.yaml")
    scaled = [one["spec"] for one in found if one["kind"] == "ScaledObject"]
    assert {one["scaleTargetRef"]["name"] for one in scaled} == {"ingest", "delivery"}
    for one in scaled:
        (trigger,) = one["triggers"]
        role = one["scaleTargetRef"]["name"]
        assert trigger["metadata"]["consumerGroup"] == load().app_id(role)


def test_no_file_contains_a_secret():
    for path in KUBERNETES.rglob("*.yaml"):
        assert all(one["kind"] != "Secret" for one in documents(path))


def test_kustomize_builds_the_overlay():
    if shutil.which("kustomize"):
        for folder in ("base", "overlays/example"):
            built = run("kustomize", "build", str(KUBERNETES / folder))
            assert built.count("\nkind: StatefulSet") == len(MEMBERS)
            assert built.count("\nkind: Deployment") == len(WORKLOADS) - len(MEMBERS)


# systemd.


def test_systemd_accepts_the_unit(tmp_path: Path):
    unit = tmp_path / "pivotwatch@accounts-0.service"
    shutil.copy(INFRA / "systemd" / "pivotwatch@.service", unit)
    if shutil.which("systemd-analyze"):
        assert "pivotwatch" not in run("systemd-analyze", "verify", str(unit))


def test_the_unit_takes_the_role_from_its_name(tmp_path: Path):
    text = (INFRA / "systemd" / "pivotwatch@.service").read_text()
    line = re.search(r"^ExecStart=/bin/sh -c '(.*)' %i$", text, re.MULTILINE)
    assert line is not None
    # systemd reads %% as a percent sign and $$ as a dollar sign.
    script = line[1].replace("%%", "%").replace("$$", "$").replace("/opt/pivotwatch/bin/pivotwatch", "echo")
    assert run("sh", "-c", script, "accounts-0") == "worker --role accounts --instance accounts-0\n"

"""What the container files promise, read from the files. `deployment/container/verify` shows it on a real engine."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from deployment.run import Options
from deployment.topology.processes.parent import jail_of
from deployment.topology.wiring import AGENTS
from tests.deployment.container.compose_reader import load
from watchdog.jail import MIB

TOP = Path(__file__).parents[3]
DOCKERFILE = TOP / "deployment/container/Dockerfile"
COMPOSE = TOP / "docker-compose.yml"
PROMETHEUS = TOP / "deployment/prometheus/prometheus.yml"

compose: dict[str, Any] = load(COMPOSE.read_text())
scrape: dict[str, Any] = load(PROMETHEUS.read_text())
every_service = pytest.mark.parametrize("service", compose["services"].values(), ids=compose["services"])


def instructions(dockerfile: str) -> list[tuple[str, str]]:
    joined = re.sub(r"\\\n", " ", re.sub(r"^\s*#.*\n", "", dockerfile, flags=re.MULTILINE))
    return [(line.split(None, 1)[0], line.split(None, 1)[1].strip()) for line in joined.splitlines() if line.strip()]


built = instructions(DOCKERFILE.read_text())
last_stage = built[max(n for n, (word, _) in enumerate(built) if word == "FROM") :]


def last(word: str) -> str:
    return [rest for instruction, rest in last_stage if instruction == word][-1]


def test_there_are_ark_and_prometheus() -> None:
    assert set(compose["services"]) == {"ark", "prometheus"}


@every_service
def test_it_is_not_root_by_number(service: dict[str, Any]) -> None:
    """A number holds whatever the image's user table says."""
    user, group = service["user"].split(":")
    assert int(user) > 0
    assert int(group) > 0


@every_service
def test_its_root_is_read_only_and_what_it_may_write_is_named(service: dict[str, Any]) -> None:
    assert service["read_only"] is True
    for mount in service["tmpfs"]:
        options = mount.split(":")[1].split(",")
        assert {"noexec", "nosuid", "nodev"} <= set(options)
        assert any(option.startswith("size=") for option in options)


@every_service
def test_it_has_no_power_over_the_machine(service: dict[str, Any]) -> None:
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "cap_add", "devices", "pid", "ipc", "network_mode", "userns_mode"} & set(service)
    assert not any("docker.sock" in volume for volume in service["volumes"])


@every_service
def test_it_is_bounded(service: dict[str, Any]) -> None:
    assert 0 < service["pids_limit"] <= 512
    assert re.fullmatch(r"\d+[mg]", service["mem_limit"])
    assert 0 < service["cpus"] <= 4
    assert set(service["logging"]["options"]) == {"max-size", "max-file"}


@every_service
def test_it_is_published_on_loopback_only(service: dict[str, Any]) -> None:
    assert service["ports"]
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])


@every_service
def test_it_has_a_health_check_without_a_shell_and_time_to_stop(service: dict[str, Any]) -> None:
    assert service["healthcheck"]["test"][0] == "CMD"
    assert service["stop_grace_period"] == "30s"


@every_service
def test_its_image_has_a_version(service: dict[str, Any]) -> None:
    assert re.fullmatch(r"[a-z.]+(/[a-z]+)+:v?\d+\.\d+\.\d+", service["image"])


@every_service
def test_every_volume_is_declared_or_a_read_only_file_of_ours(service: dict[str, Any]) -> None:
    for volume in service["volumes"]:
        origin, _, target = volume.partition(":")
        if origin.startswith("./"):
            assert (TOP / origin).is_file()
            assert target.endswith(":ro")
        else:
            assert origin in compose["volumes"]


def test_the_ports_are_the_ones_that_operators_know() -> None:
    assert compose["services"]["ark"]["ports"] == ["127.0.0.1:9090:9090"]
    assert compose["services"]["prometheus"]["ports"] == ["127.0.0.1:9091:9090"]


def test_a_leak_ends_in_its_agents_jail_before_it_ends_the_house() -> None:
    """The house and one agent that takes all it may have fit into the container's memory."""
    options = Options(source="embedded")
    most = max(jail_of(agent.spec.name, options).memory_bytes for agent in AGENTS)
    limit = compose["services"]["ark"]["mem_limit"]
    assert int(limit[:-1]) * {"m": 1 << 20, "g": 1 << 30}[limit[-1]] >= most + 512 * MIB


def test_ark_runs_on_embedded_data_and_keeps_its_state_in_a_volume() -> None:
    ark = compose["services"]["ark"]
    assert ark["command"][:3] == ["run", "--source", "embedded"]
    assert ark["command"] == json.loads(last("CMD"))
    assert "ark-state:/var/lib/ark" in ark["volumes"]
    assert json.loads(last("VOLUME")) == ["/var/lib/ark"]


def test_the_user_is_the_same_in_image_and_compose_file() -> None:
    assert last("USER") == compose["services"]["ark"]["user"] == "10001:10001"


def test_the_health_check_asks_whether_it_is_ready_in_image_and_compose_file() -> None:
    in_image = json.loads(last("HEALTHCHECK").partition("CMD ")[2])
    assert in_image == compose["services"]["ark"]["healthcheck"]["test"][1:]
    assert "/readyz" in in_image[-1]
    assert in_image[0] == "python3"
    compile(in_image[-1], "healthcheck", "exec")


def test_the_image_is_built_from_the_locked_packages_only() -> None:
    runs = [rest for word, rest in built if word == "RUN"]
    installs = [part for run in runs for part in run.split("&&") if "pip install" in part]
    assert all(
        "--require-hashes" in install or {"--no-deps", "--no-index"} <= set(install.split()) for install in installs
    )
    assert len(installs) == 2


def test_the_image_comes_from_one_named_base_and_fetches_nothing_else() -> None:
    assert {rest.split()[0] for word, rest in built if word == "FROM"} == {
        "docker.io/library/python:3.11-slim-bookworm"
    }
    assert not any(word == "ADD" for word, _ in built)
    assert not any(fetcher in rest for word, rest in built if word == "RUN" for fetcher in ("curl", "wget", "apt"))


def test_the_image_starts_without_a_shell() -> None:
    assert json.loads(last("ENTRYPOINT")) == ["ark"]


def test_only_named_files_go_into_the_image() -> None:
    rules = [line for line in (TOP / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert rules[0] == "*"
    let_in = {rule[1:] for rule in rules if rule.startswith("!")}
    packages = {"agents", "deployment", "graveyard", "monitoring", "mutable_core", "watchdog"}
    assert let_in == packages | {"requirements.lock", "pyproject.toml", "README.md", "LICENSE"}


def test_prometheus_scrapes_ark_where_it_listens() -> None:
    (job,) = (job for job in scrape["scrape_configs"] if job["job_name"] == "ark-metrics")
    assert job["static_configs"][0]["targets"] == ["ark:9090"]
    assert "ark" in compose["services"]
    assert scrape["global"]["scrape_interval"] == scrape["global"]["evaluation_interval"] == "15s"


def test_promtool_accepts_the_configuration() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (Debian: apt-get install prometheus)")
    subprocess.run([promtool, "check", "config", str(PROMETHEUS)], check=True, capture_output=True)


def test_podman_compose_reads_the_same_as_this_test() -> None:
    tool = shutil.which("podman-compose")
    if tool is None:
        pytest.skip("podman-compose is not installed")
    ran = subprocess.run([tool, "-f", str(COMPOSE), "config"], capture_output=True, text=True, check=False, cwd=TOP)
    if ran.returncode:
        pytest.skip(f"podman-compose does not run here: exit {ran.returncode}")
    for service in compose["services"].values():
        assert f"image: {service['image']}" in ran.stdout


@pytest.mark.parametrize(
    "text",
    ["a: &anchor 1", "a: |\n  text", "a: 1\na: 2", "a:\nb: 1", "a: 'single'", "- a: 1\n   b: 2", "a: {x: 1}", "<<: *a"],
)
def test_the_reader_refuses_what_it_does_not_know(text: str) -> None:
    with pytest.raises(ValueError):
        load(text)

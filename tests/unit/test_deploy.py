"""What runs evalsvc elsewhere holds together: units, image, compose, manifests, held against linters and the code."""

from __future__ import annotations

import importlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
import yaml
from conftest import need

from evalsvc import config
from evalsvc.core.settings import ServerSettings
from evalsvc.errors import ConfigError
from evalsvc.providers.settings import EndpointSettings
from evalsvc.store.database import open_database

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
SYSTEMD, DOCKER, KUBERNETES = DEPLOY / "systemd", DEPLOY / "docker", DEPLOY / "kubernetes"
PORT = ServerSettings().port
#: Most exposure `systemd-analyze security` may find.
MOST_EXPOSED = {"evalsvc.service": 1.3, "evalsvc-backup.service": 0.4}


def ran(*command: str | Path) -> str:
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def installed(program: str) -> str:
    """A linter of the development dependencies."""
    return need(str(Path(sys.executable).with_name(program)))


def unit(name: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in (SYSTEMD / name).read_text().splitlines():
        key, sign, value = line.partition("=")
        if sign and not line.startswith("#"):
            found.setdefault(key, []).append(value)
    return found


def documents(path: Path) -> list[Any]:
    return list(yaml.safe_load_all(path.read_text()))


def manifest(name: str) -> Any:
    (found,) = documents(KUBERNETES / f"{name}.yaml")
    return found


def compose() -> Any:
    return documents(DOCKER / "compose.yaml")[0]


def test_systemd_takes_the_units(tmp_path: Path) -> None:
    for path in SYSTEMD.glob("*.*"):
        text = re.sub(r"/opt/evalsvc/bin/\S+", "/bin/true", path.read_text())
        (tmp_path / path.name).write_text(text)
    drop_in = tmp_path / "evalsvc.service.d"
    drop_in.mkdir()
    (tmp_path / "credentials.conf").rename(drop_in / "credentials.conf")
    units = [tmp_path / name for name in ("evalsvc.service", "evalsvc-backup.service", "evalsvc-backup.timer")]
    command = [need("systemd-analyze"), "verify", "--man=no", *map(str, units)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", MOST_EXPOSED)
def test_the_units_are_sandboxed(name: str) -> None:
    told = ran(need("systemd-analyze"), "security", "--offline=true", "--no-pager", SYSTEMD / name)
    exposure = re.search(r"Overall exposure level for \S+: ([\d.]+)", told)
    assert exposure is not None
    assert float(exposure[1]) <= MOST_EXPOSED[name]


def test_the_unit_gives_the_daemon_what_it_needs() -> None:
    daemon = unit("evalsvc.service")
    assert daemon["User"] == ["evalsvc"]
    assert daemon["StateDirectory"] == ["evalsvc"]
    assert daemon["WorkingDirectory"] == ["/var/lib/evalsvc"]
    assert {"2", "75", "78"} <= set(daemon["RestartPreventExitStatus"][0].split())
    assert float(daemon["TimeoutStopSec"][0]) > ServerSettings().grace_s + 10
    assert int(daemon["LimitNOFILE"][0]) >= 2 * 10_000 + 64
    assert not any("PASSWORD" in value or "KEY" in value for value in daemon.get("Environment", []))
    assert "link-local" in daemon["IPAddressDeny"][0]
    backup = unit("evalsvc-backup.service")
    assert backup["ExecStart"][0].split()[1:] == ["/var/lib/evalsvc/evalsvc.db", "/var/backups/evalsvc", "14"]
    assert "/var/backups/evalsvc" in backup["ReadWritePaths"][0].split()


@pytest.mark.parametrize("section", ["endpoint", "signing"])
def test_a_key_may_be_a_credential_of_the_unit(tmp_path: Path, section: str) -> None:
    file = tmp_path / "config.toml"
    path = "$CREDENTIALS_DIRECTORY/up"
    file.write_text(
        f'[endpoints.up]\nbase_url = "http://127.0.0.1/v1"\napi_key_file = "{path}"\n[signing]\nkey_file = "{path}"\n'
    )
    inside, outside = config.load(file, {"CREDENTIALS_DIRECTORY": "/run/c"}), config.load(file, {})
    if section == "endpoint":
        assert inside.endpoints["up"].api_key_file == "/run/c/up"
        with pytest.raises(ConfigError, match=r"endpoints\.up: cannot read its key from .*CREDENTIALS_DIRECTORY"):
            config.api_key("up", outside.endpoints["up"], {})
    else:
        assert (inside.signing.key_file, outside.signing.key_file) == ("/run/c/up", path)
    file.write_text(file.read_text().replace("$CREDENTIALS_DIRECTORY/", "/etc/$CREDENTIALS_DIRECTORY/"))
    assert config.load(file, {"CREDENTIALS_DIRECTORY": "/run/c"}).signing.key_file == f"/etc/{path}"


def test_a_credential_by_variable() -> None:
    environ = {
        "CREDENTIALS_DIRECTORY": "/run/c",
        "EVALSVC_ENDPOINTS__UP__BASE_URL": "http://127.0.0.1/v1",
        "EVALSVC_ENDPOINTS__UP__API_KEY_FILE": "$CREDENTIALS_DIRECTORY/up",
    }
    found = config.load(Path(os.devnull), environ).endpoints["up"]
    assert found == EndpointSettings(base_url="http://127.0.0.1/v1", api_key_file="/run/c/up")


@pytest.fixture
def back_up(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs backup.sh on a fresh database of the test's folder."""

    async def create() -> None:
        async with open_database(tmp_path / "evalsvc.db"):
            pass

    anyio.run(create)
    (tmp_path / "evalsvc.db.uploads" / "incoming").mkdir(parents=True)
    (tmp_path / "copies").mkdir()

    def run(database: str = "evalsvc.db", keep: int = 2) -> subprocess.CompletedProcess[str]:
        command = [str(DEPLOY / "backup.sh"), database, "copies", str(keep)]
        env = {**os.environ, "EVALSVC": f"{sys.executable} -m evalsvc"}
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False, env=env)

    return run


def old_copy(folder: Path, stamp: str, days: float) -> Path:
    path = folder / "copies" / f"evalsvc-{stamp}.db"
    path.write_bytes(b"old")
    aged(path, days)
    return path


def aged(path: Path, days: float) -> None:
    then = path.stat().st_mtime - days * 86_400
    os.utime(path, (then, then))


def test_a_backup_keeps_the_newest_copies_and_what_they_need(back_up: Any, tmp_path: Path) -> None:
    oldest, kept = old_copy(tmp_path, "20260101T000000Z", 9), old_copy(tmp_path, "20260102T000000Z", 5)
    (tmp_path / "evalsvc.db.uploads" / "live").write_text("data set")
    uploads = tmp_path / "copies" / "evalsvc.db.uploads"
    uploads.mkdir()
    for name, days in (("of-the-oldest", 8.0), ("of-the-kept", 4.0), ("live", 8.0)):
        (uploads / name).write_text("data set")
        aged(uploads / name, days)
    (tmp_path / "copies" / "mine.db").write_text("none of ours")
    done = back_up()
    assert done.returncode == 0, done.stderr
    copies = sorted((tmp_path / "copies").glob("evalsvc-*.db"))
    assert kept in copies
    assert len(copies) == 2
    assert not oldest.exists()
    assert sorted(path.name for path in uploads.iterdir()) == ["live", "of-the-kept"]
    assert (tmp_path / "copies" / "mine.db").exists()
    assert copies[-1].stat().st_mode & 0o077 == 0 or (tmp_path / "evalsvc.db").stat().st_mode & 0o077


def test_a_backup_that_fails_removes_nothing(back_up: Any, tmp_path: Path) -> None:
    kept = [old_copy(tmp_path, f"2026010{day}T000000Z", 9 - day) for day in range(1, 5)]
    done = back_up("nowhere.db")
    assert done.returncode != 0
    assert "no such database" in done.stderr
    assert all(path.exists() for path in kept)


def instructions() -> list[tuple[str, str]]:
    text = (DOCKER / "Dockerfile").read_text().replace("\\\n", "")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(name.upper(), rest.strip()) for name, _, rest in (line.partition(" ") for line in lines)]


def test_the_image_is_small_unprivileged_and_checked() -> None:
    found = instructions()
    stages = [k for k, (name, _) in enumerate(found) if name == "FROM"]
    assert len(stages) == 2
    last = found[stages[-1] :]
    assert ("ARG", "PYTHON_IMAGE=python:3.13-slim") in found
    assert all(rest.split()[0] == "${PYTHON_IMAGE}" for name, rest in found if name == "FROM")
    (user,) = [rest for name, rest in last if name == "USER"]
    assert user == "65532:65532"
    assert not [rest for name, rest in last[[n for n, _ in last].index("USER") :] if name in {"RUN", "COPY"}]
    assert ("EXPOSE", str(PORT)) in last
    (health,) = [rest for name, rest in last if name == "HEALTHCHECK"]
    assert f":{PORT}/healthz" in health
    assert "ADD" not in {name for name, _ in found}
    installs = [rest for name, rest in found if name == "RUN" and "pip install" in rest]
    assert all("--require-hashes" in rest or "--no-deps" in rest for rest in installs)


def test_the_image_is_made_of_what_is_there() -> None:
    let_in = {
        line[1:] for line in (DOCKER / "Dockerfile.dockerignore").read_text().splitlines() if line.startswith("!")
    }
    copied = {
        source
        for name, rest in instructions()
        if name == "COPY" and not rest.startswith("--from")
        for source in rest.split()[:-1]
    }
    assert copied == let_in
    assert all((ROOT / name).exists() for name in copied)
    locked = (ROOT / "requirements" / "run.txt").read_text()
    needed = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    for requirement in needed:
        name = re.split(r"[<>=;\[ ]", requirement)[0].lower()
        assert re.search(rf"^{re.escape(name)}==", locked, re.MULTILINE), f"{name} is not pinned"


def test_hadolint_has_nothing_to_say() -> None:
    assert ran(installed("hadolint"), DOCKER / "Dockerfile") == ""


@pytest.mark.parametrize("name", ["evalsvc", "prometheus", "grafana"])
def test_every_service_is_shut_in(name: str) -> None:
    service = compose()["services"][name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert int(service["user"].split(":")[0]) > 0
    assert service["mem_limit"]
    assert service["healthcheck"]["test"][0] == "CMD"
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    assert not service["image"].endswith(":latest")
    assert name == "evalsvc" or ":" in service["image"]
    for mount in service["volumes"]:
        source, target, *mode = mount.split(":")
        if source.startswith("."):
            assert (DOCKER / source).exists(), source
            assert mode == ["ro"], target
        else:
            assert source in compose()["volumes"]
    assert set(service["secrets"]) <= set(compose()["secrets"])


def test_compose_gives_the_daemon_time_and_its_port() -> None:
    service = compose()["services"]["evalsvc"]
    assert service["ports"] == [f"127.0.0.1:{PORT}:{PORT}"]
    assert float(service["stop_grace_period"].removesuffix("s")) > ServerSettings().grace_s + 10
    assert (DOCKER / service["build"]["context"]).resolve() == ROOT
    assert f":{PORT}/healthz" in service["healthcheck"]["test"][-1]


def test_prometheus_beside_the_daemon_finds_it() -> None:
    (scraped,) = documents(DOCKER / "prometheus.yml")[0]["scrape_configs"]
    (original,) = documents(DEPLOY / "prometheus" / "prometheus.yml")[0]["scrape_configs"]
    assert scraped["job_name"] == original["job_name"] == "evalsvc"  # rules and dashboards know it by this name
    assert scraped["static_configs"] == [{"targets": [f"evalsvc:{PORT}"]}]
    assert "evalsvc" in config.load(DOCKER / "config.toml", {}).server.hosts.split(",")
    (source,) = documents(DOCKER / "grafana-datasource.yaml")[0]["datasources"]
    (other,) = documents(DEPLOY / "grafana" / "provisioning" / "datasources" / "evalsvc.yaml")[0]["datasources"]
    assert {**source, "url": ""} == {**other, "url": ""}
    (provider,) = documents(DEPLOY / "grafana" / "provisioning" / "dashboards" / "evalsvc.yaml")[0]["providers"]
    mounted = [volume.split(":")[1] for volume in compose()["services"]["grafana"]["volumes"]]
    assert provider["options"]["path"] in mounted


def test_prometheus_takes_its_configuration(tmp_path: Path) -> None:
    shutil.copy(DEPLOY / "prometheus" / "rules.yml", tmp_path)
    (tmp_path / "token").write_text("x")
    text = (DOCKER / "prometheus.yml").read_text().replace("/run/secrets/prometheus", "token")
    (tmp_path / "prometheus.yml").write_text(text)
    assert "SUCCESS" in ran(need("promtool"), "check", "config", tmp_path / "prometheus.yml")


@pytest.mark.parametrize(
    ("schema", "path"),
    [
        ("vendor.compose-spec", DOCKER / "compose.yaml"),
        ("vendor.github-workflows", ROOT / "examples" / "ci" / "github-actions.yml"),
    ],
    ids=["compose", "github-actions"],
)
def test_it_follows_its_schema(schema: str, path: Path) -> None:
    ran(installed("check-jsonschema"), "--builtin-schema", schema, path)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_kubernetes_takes_the_manifests() -> None:
    installed("kubernetes-validate")
    validate = importlib.import_module("kubernetes_validate").validate
    for path in KUBERNETES.glob("*.yaml"):
        if path.name != "kustomization.yaml":
            for document in documents(path):
                validate(document, "1.33", strict=True)


def test_the_kustomization_lists_every_manifest() -> None:
    apart = {"kustomization.yaml", "maintenance.yaml", "secret.yaml"}
    assert {*manifest("kustomization")["resources"], *apart} == {path.name for path in KUBERNETES.iterdir()}


@pytest.mark.parametrize("name", ["deployment", "maintenance"])
def test_pods_are_restricted(name: str) -> None:
    found = manifest(name)["spec"]
    pod = found["template"]["spec"] if name == "deployment" else found
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == 65532
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["resources"]["limits"]["memory"]
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
    (claim,) = [volume["persistentVolumeClaim"] for volume in pod["volumes"] if "persistentVolumeClaim" in volume]
    assert claim["claimName"] == manifest("storage")["metadata"]["name"]


def test_one_daemon_a_database() -> None:
    spec = manifest("deployment")["spec"]
    assert spec["replicas"] == 1
    assert spec["strategy"] == {"type": "Recreate"}
    assert manifest("storage")["spec"]["accessModes"] == ["ReadWriteOncePod"]
    assert spec["template"]["spec"]["terminationGracePeriodSeconds"] > ServerSettings().grace_s + 10


def test_the_daemon_is_probed_and_reached() -> None:
    pod = manifest("deployment")["spec"]["template"]
    (container,) = pod["spec"]["containers"]
    assert container["ports"] == [{"name": "http", "containerPort": PORT}]
    paths = {name: container[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")}
    assert {name: probe["path"] for name, probe in paths.items()} == {
        "startup": "/healthz",
        "liveness": "/healthz",
        "readiness": "/readyz",
    }
    assert {probe["port"] for probe in paths.values()} == {"http"}
    labels = pod["metadata"]["labels"].items()
    service, policy = manifest("service")["spec"], manifest("networkpolicy")["spec"]
    assert service["selector"].items() <= labels
    assert policy["podSelector"]["matchLabels"].items() <= labels
    assert [port["port"] for port in service["ports"]] == [PORT]
    assert policy["ingress"][0]["ports"] == [{"port": PORT}]
    everywhere = policy["egress"][1]["to"][0]["ipBlock"]
    assert everywhere == {"cidr": "0.0.0.0/0", "except": ["169.254.0.0/16"]}


@pytest.mark.parametrize("source", ["docker", "kubernetes"])
def test_the_configuration_is_one(tmp_path: Path, source: str) -> None:
    texts = {
        "docker": (DOCKER / "config.toml").read_text(),
        "kubernetes": manifest("config")["data"]["config.toml"],
    }
    (tmp_path / "config.toml").write_text(texts[source].replace("\n#[", "\n[").replace("\n#b", "\nb"))
    found = config.load(tmp_path / "config.toml", {})
    assert set(found.endpoints) == {"openai", "sim", "vllm"}
    folder = Path(str(found.endpoints["openai"].api_key_file)).parent
    if source == "kubernetes":
        (container,) = manifest("deployment")["spec"]["template"]["spec"]["containers"]
        assert str(folder) in {mount["mountPath"] for mount in container["volumeMounts"]}
        assert "openai" in manifest("secret")["stringData"]
    else:
        assert folder == Path("/run/secrets")


@pytest.mark.parametrize("path", ["backup.sh", "ci-gate.sh", "../examples/ci/gate.sh"])
def test_scripts_are_plain_shell(path: str) -> None:
    script = (DEPLOY / path).resolve()
    assert os.access(script, os.X_OK)
    assert script.read_text().startswith("#!/bin/sh\n")
    ran("/bin/sh", "-n", script)


def test_the_gate_reports_and_gives_the_decision_on(tmp_path: Path) -> None:
    (tmp_path / "evalsvc").write_text(
        f"""#!/bin/sh
echo "$@" >> {tmp_path}/asked
[ "$1" = run ] && echo {{}} > {tmp_path}/out/decision.json && exit 4
while [ "$1" != -o ]; do shift; done
echo report > "$2"
"""
    )
    (tmp_path / "evalsvc").chmod(0o755)
    gate = ROOT / "examples" / "ci" / "gate.sh"
    for allowed, code in (("0", 1), ("1", 0)):
        env = {
            **os.environ,
            "EVALSVC": str(tmp_path / "evalsvc"),
            "ALLOW_HOLD": allowed,
            "GITHUB_STEP_SUMMARY": str(tmp_path / f"summary{allowed}"),
        }
        command = [str(gate), "job.toml", str(tmp_path / "out")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False, env=env)
        assert done.returncode == code, done.stderr
        assert (tmp_path / f"summary{allowed}").read_text() == "report\n"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["decision.json", "junit.xml", "summary.md"]


def told_in(title: str) -> set[str]:
    """The first column of the table under a heading of docs/operations.md."""
    text = (ROOT / "docs" / "operations.md").read_text().split(f" {title}\n")[1]
    return set(
        re.findall(r"^\| `([^`]+)` \|", re.split(r"^#+ ", text, maxsplit=1, flags=re.MULTILINE)[0], re.MULTILINE)
    )


def test_operations_tells_what_to_do_on_every_alert() -> None:
    groups = documents(DEPLOY / "prometheus" / "rules.yml")[0]["groups"]
    assert told_in("Alerts") == {rule["alert"] for group in groups for rule in group["rules"] if "alert" in rule}


def test_operations_tells_every_option_of_doctor() -> None:
    command = importlib.import_module("evalsvc.cli.doctor").command
    assert told_in("Is everything there?") == {option.opts[0] for option in command.params}

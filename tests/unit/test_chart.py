"""The Helm chart: linted, rendered, valid for its Kubernetes versions, and equal to the stack."""

import re
import subprocess
from collections.abc import Iterator
from typing import Any

import helm_python as helm
import kubernetes_validate
import pytest
import yaml

from lakehouse.settings import NAMES as SETTINGS
from lakehouse.settings import PROJECT, variable
from lakehouse.stack_secrets import NAMES, OWNER_UIDS, PASSFILES

CHART = PROJECT / "docker" / "helm" / "churn"
DECLARED = yaml.safe_load((CHART / "Chart.yaml").read_text())
SERVICES = yaml.safe_load((PROJECT / "docker-compose.yml").read_text())["services"]
# Services of the compose file that are other things in a cluster, or that the chart does not have.
REPLACED = {"secrets", "spark-master", "spark-worker", "readers"}
VARIANTS: dict[str, dict[str, Any]] = {
    "default": {},
    "everything": {
        "notifySecret": "notify",
        "image": {"pullSecrets": ["registry"]},
        "home": {"storageClass": "nfs"},
        "settings": {"CHURN_EXPECTED_DAY": "5"},
        "api": {"ingress": {"host": "churn.example", "className": "nginx", "tlsSecret": "tls"}},
    },
    "stores elsewhere": {
        **{name: {"enabled": False} for name in ("postgres", "s3", "mlflow")},
        "redis": {"enabled": False, "url": "rediss://redis.example:6380/0"},
        "networkPolicies": {"enabled": False},
    },
}


def versions() -> list[str]:
    """The first and the last version of Kubernetes that the chart names."""
    first, last = re.findall(r"1\.(\d+)\.0-0", DECLARED["kubeVersion"])
    return [f"1.{first}", f"1.{int(last) - 1}"]


def render(values: dict[str, Any]) -> list[dict[str, Any]]:
    chart = helm.Chart.load(str(CHART))
    rendered = chart.render(values, name="churn", namespace="churn", is_install=True)
    texts = [text for path, text in sorted(rendered.items()) if path.endswith(".yaml")]
    return [each for text in texts for each in yaml.safe_load_all(text) if each]


MANIFESTS = render(VARIANTS["everything"])


def pods() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every pod by the component that it is, the executors' template included."""
    for each in MANIFESTS:
        if "template" in each.get("spec", {}):
            pod = each["spec"]["template"]
            yield pod["metadata"]["labels"]["app.kubernetes.io/component"], pod["spec"]
    template = yaml.safe_load((CHART / "files" / "spark" / "executor-pod.yaml").read_text())
    yield "spark-executor", template["spec"]


PODS = dict(pods())


@pytest.mark.parametrize("version", versions())
def test_it_passes_helms_linter(version: str) -> None:
    report = helm.lint(
        str(CHART), VARIANTS["everything"], strict=True, kube_version=f"v{version}.0"
    )
    # The chart has no icon, which is all that the linter may mention.
    assert [each["error"] for each in report["messages"]] == ["icon is recommended"]
    assert report["errors"] == []


@pytest.mark.parametrize("version", versions())
@pytest.mark.parametrize("variant", VARIANTS)
def test_it_is_valid_for_the_versions_that_it_names(variant: str, version: str) -> None:
    manifests = render(VARIANTS[variant])
    assert len(manifests) > 15
    for each in manifests:
        kubernetes_validate.validate(each, version, strict=True)
    template = yaml.safe_load((CHART / "files" / "spark" / "executor-pod.yaml").read_text())
    kubernetes_validate.validate(template, version, strict=True)


def test_a_wrong_field_is_not_valid() -> None:
    (driver,) = (
        each
        for each in MANIFESTS
        if each["kind"] == "StatefulSet" and "driver" in str(each["metadata"]["name"])
    )
    wrong = {**driver, "spec": {**driver["spec"], "replica": 1}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, versions()[1], strict=True)


def test_its_services_are_those_of_the_compose_file() -> None:
    assert set(PODS) - {"spark-executor"} == set(SERVICES) - REPLACED
    for name in set(SERVICES) - REPLACED:
        container = PODS[name]["containers"][0]
        command = SERVICES[name].get("command") or SERVICES[name].get("entrypoint")
        if SERVICES[name]["image"] == "dag-spark:v1":
            assert container["args"] == command, name
        else:
            assert SERVICES[name]["image"].endswith(f":-{container['image']}}}"), name


def test_no_name_is_used_twice() -> None:
    names = [(each["kind"], each["metadata"]["name"]) for each in MANIFESTS]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("name", PODS)
def test_a_pod_has_no_right_that_it_does_not_need(name: str) -> None:
    pod = PODS[name]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is (name == "spark-driver")
    for container in (*pod["containers"], *pod.get("initContainers", [])):
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        # Spark sets those of its executors.
        if name != "spark-executor":
            assert container["resources"]["limits"]["memory"]
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
    assert not [each for each in pod["volumes"] if "hostPath" in each]


def test_a_secret_is_mounted_by_its_reader_alone() -> None:
    readers = {"driver": {"spark-driver"}, "airflow": {n for n in PODS if n.startswith("airflow-")}}
    for reader in set(OWNER_UIDS) - REPLACED:
        mounting = {
            name
            for name, pod in PODS.items()
            for volume in pod["volumes"]
            if volume.get("secret", {}).get("secretName") == f"secrets-{reader}"
        }
        assert mounting == readers.get(reader, {reader})


def test_files_of_secrets_are_those_that_their_reader_has() -> None:
    (shared,) = (each["data"] for each in MANIFESTS if each["metadata"]["name"] == "churn-settings")
    for name, pod in PODS.items():
        if name == "spark-executor":
            continue
        container = pod["containers"][0]
        texts = {str(each.get("value")) for each in container.get("env", [])}
        texts |= set(shared.values()) if "envFrom" in container else set()
        asked = {text.rpartition("/")[2] for text in texts if "/secrets-of-churn/" in text}
        (reader,) = (
            volume["secret"]["secretName"].removeprefix("secrets-")
            for volume in pod["volumes"]
            if volume["name"] == "mounted-secrets"
        )
        made = {secret for secret, readers in NAMES.items() if reader in readers}
        assert asked <= made | ({"pgpass"} if reader in PASSFILES else set()), name


def test_every_setting_exists() -> None:
    known = {variable(name) for name in SETTINGS}
    known |= {f"{name}_FILE" for name in known}
    text = yaml.safe_dump_all(MANIFESTS)
    assert set(re.findall(r"\bCHURN_[A-Z_]+\b", text)) <= known


def test_the_api_reaches_redis_and_nothing_else() -> None:
    policies = {e["metadata"]["name"]: e["spec"] for e in MANIFESTS if e["kind"] == "NetworkPolicy"}
    redis, names = policies["api"]["egress"]
    assert redis["to"] == [
        {"podSelector": {"matchLabels": {"app.kubernetes.io/component": "redis"}}}
    ]
    assert {each["port"] for each in names["ports"]} == {53}
    reached = {
        name: set(policy["ingress"][0]["from"][0]["podSelector"]["matchExpressions"][0]["values"])
        for name, policy in policies.items()
        if name not in ("closed", "api", "spark")
    }
    for service, clients in reached.items():
        networks = set(SERVICES[service]["networks"])
        for client in clients - {"spark-executor"}:
            assert networks & set(SERVICES[client]["networks"]), (service, client)
    assert "ingress" not in policies["closed"]


def test_scripts_are_those_of_the_stack() -> None:
    data = {e["metadata"]["name"]: e["data"] for e in MANIFESTS if e["kind"] == "ConfigMap"}
    for store in ("postgres", "redis", "s3"):
        files = {path.name: path.read_text() for path in (PROJECT / "docker" / store).iterdir()}
        found = {name: text.lstrip("\n") for name, text in data[store].items()}
        assert {name: text.strip() for name, text in found.items()} == {
            name: text.strip() for name, text in files.items()
        }
    script = CHART / "files" / "spark" / "executor.sh"
    subprocess.run(["sh", "-n", script], check=True)


@pytest.mark.parametrize(
    "values",
    [
        {"settings": {"CHURN_SPARK_PASSWORD": "x"}},
        {"settings": {"CHURN_NOTIFY": "json://x"}},
        {"redis": {"url": "redis://user:word@redis:6379/0"}},
        {"lakeUri": "/data/lake"},
        {"workers": 3},
        {"api": {"ingress": {"host": "churn.example"}}},
    ],
)
def test_secrets_and_unknown_values_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(helm.HelmError):
        chart = helm.Chart.load(str(CHART))
        chart.validate_schema(values)
        chart.render(values, name="churn", namespace="churn")

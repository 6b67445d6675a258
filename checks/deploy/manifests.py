"""Overlays' manifests, built: by Kubernetes' own schemas and those of KEDA and the Prometheus operator,
unknown fields refused, and by what our processes need. `manifests.py DOCS BUILT.yaml...`; one line for each."""

import json
import os
import re
import sys
import tomllib

import kubernetes_validate
import yaml
from cloudcoil.models.keda import v1alpha1 as keda
from cloudcoil.models.prometheus_operator import v1 as monitoring
from pydantic import ValidationError

from settings import settings_of

KUBERNETES = "1.33"
CUSTOM = {"keda.sh/v1alpha1": keda, "monitoring.coreos.com/v1": monitoring}
# What a trigger understands; KEDA ignores what it does not, and no schema tells (keda.sh, scalers).
TRIGGER_KEYS = {
    "aws-kinesis-stream": {"streamName", "awsRegion", "shardCount", "activationShardCount", "awsEndpoint"},
    "prometheus": {"serverAddress", "query", "threshold", "activationThreshold", "namespace", "ignoreNullValues",
                   "queryParameters", "unsafeSsl", "authModes", "timeout"},
}


def by_schema(document):
    """Sentences about one document."""
    models = CUSTOM.get(document["apiVersion"])
    if models is None:
        try:
            kubernetes_validate.validate(document, KUBERNETES, strict=True)
        except kubernetes_validate.ValidationError as error:
            path = ".".join(str(part) for part in error.path)
            yield f"{path}: {error.message}"
        return
    try:
        getattr(models, document["kind"]).model_validate_json(json.dumps(document), strict=True, extra="forbid")
    except ValidationError as error:
        for wrong in error.errors():
            yield f"{'.'.join(str(part) for part in wrong['loc'])}: {wrong['msg']}"


def pod(deployment, config, documents):
    """A pod of ours: what our processes need, and what they must not have."""
    spec = deployment["spec"]["template"]["spec"]
    container, = spec["containers"]
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    port = int(config.get("http", {}).get("listen", ":9090").rsplit(":", 1)[1])
    grace_s = config.get("shutdown", {}).get("grace_s", 25)
    security = container["securityContext"]
    policies = [each for each in documents if each["kind"] == "NetworkPolicy"]
    ports = {rule_port["port"] for policy in policies for rule in policy["spec"]["ingress"] for rule_port in rule["ports"]}
    known = {each["metadata"]["name"] for each in documents if each["kind"] == "ServiceAccount"}
    checks = {
        "liveness asks /livez": container["livenessProbe"]["httpGet"]["path"] == "/livez",
        "readiness asks /readyz": container["readinessProbe"]["httpGet"]["path"] == "/readyz",
        f"the pod is given more than grace_s ({grace_s} s) and 5 s": spec["terminationGracePeriodSeconds"] >= grace_s + 5,
        "http.listen is the container's port": container["ports"][0]["containerPort"] == port,
        "the network policy lets http.listen in": ports == {port},
        "the root is read-only": security["readOnlyRootFilesystem"] is True,
        "it cannot become more than it is": security["allowPrivilegeEscalation"] is False,
        "it has no capabilities": security["capabilities"]["drop"] == ["ALL"],
        "it is not root": spec["securityContext"]["runAsNonRoot"] is True and spec["securityContext"]["runAsUser"] > 0,
        "memory has a limit": "memory" in container["resources"]["limits"],
        "processor and memory are asked for": {"cpu", "memory"} <= set(container["resources"]["requests"]),
        "its service account is there": spec["serviceAccountName"] in known,
        "no Service can set its settings": spec["enableServiceLinks"] is False,
        "its selector finds it": deployment["spec"]["selector"]["matchLabels"].items() <= labels.items(),
    }
    yield from (f"not so: {what}" for what, so in checks.items() if not so)
    if labels["app.kubernetes.io/component"] == "broadcaster":
        if deployment["spec"]["strategy"]["type"] != "RollingUpdate" or deployment["spec"]["replicas"] < 2:
            yield "not so: a broadcaster stands by"


def scaled(document, config, documents, metrics):
    target = document["spec"]["scaleTargetRef"]["name"]
    found = [each for each in documents if each["kind"] == "Deployment" and each["metadata"]["name"] == target]
    if not found:
        yield f"there is no Deployment {target}"
    elif "replicas" in found[0]["spec"]:
        yield f"the Deployment {target} sets replicas, too: applied again, it would take the count back"
    for trigger in document["spec"]["triggers"]:
        given = trigger["metadata"]
        for unknown in sorted(set(given) - TRIGGER_KEYS[trigger["type"]]):
            yield f"{trigger['type']} knows no `{unknown}`"
        if trigger["type"] == "aws-kinesis-stream" and given["streamName"] != config["source"]["stream"]:
            yield f"counts the shards of {given['streamName']}, while source.stream is {config['source']['stream']}"
        for name in re.findall(r"\btidewire_\w+", given.get("query", "")):
            if name not in metrics:
                yield f"{name} is no metric of docs/metrics.md"


def sentences(documents, keys, variables, metrics):
    """Everything that is wrong with one overlay."""
    wrong = []

    def note(document, said):
        wrong.extend(f"{document['kind']} {document['metadata']['name']}: {sentence}" for sentence in said)

    config_map, = [each for each in documents if each["kind"] == "ConfigMap"]
    config = tomllib.loads(config_map["data"]["tidewire.toml"])
    note(config_map, (f"{section}.{key} is no setting of docs/configuration.md"
                      for section, entries in config.items() for key in entries if (section, key) not in keys))
    for document in documents:
        note(document, by_schema(document))
    # What lacks a field would only fall over below.
    if wrong:
        return wrong
    for document in documents:
        if document["kind"] == "Deployment":
            note(document, pod(document, config, documents))
            for entry in document["spec"]["template"]["spec"]["containers"][0]["env"]:
                if entry["name"].startswith("TIDEWIRE_") and entry["name"] not in variables:
                    note(document, [f"{entry['name']} is no setting of docs/configuration.md"])
        if document["kind"] == "ScaledObject":
            note(document, scaled(document, config, documents, metrics))
    return wrong


def main():
    docs = {}
    for name in ("configuration.md", "metrics.md"):
        with open(os.path.join(sys.argv[1], name), encoding="utf-8") as file:
            docs[name] = file.read()
    keys, variables = settings_of(docs["configuration.md"])
    metrics = set(re.findall(r"\| `(tidewire_\w+)` \|", docs["metrics.md"]))
    failed = 0
    for path in sys.argv[2:]:
        with open(path, encoding="utf-8") as file:
            documents = [document for document in yaml.safe_load_all(file) if document]
        wrong = sentences(documents, keys, variables, metrics)
        name = os.path.splitext(os.path.basename(path))[0]
        print(f"{'FAILED' if wrong else 'ok'}: {name}: {len(documents)} documents", *wrong, sep="\n  ", flush=True)
        failed |= bool(wrong)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()

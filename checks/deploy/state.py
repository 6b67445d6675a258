"""What Terraform made of the module, looked at with AWS's own eyes: task definitions by botocore's model of
ECS, policies by AWS's list of actions and what each may be limited to (as policy_sentry has it), settings by our
page of them and by the daemon itself, limits that the schema does not know. `state.py STATE.json DOC DAEMON`."""

import json
import re
import subprocess
import sys
import tempfile
import tomllib

import botocore.session
import botocore.validate
from policy_sentry.querying.actions import get_action_data

from settings import settings_of

# AWS: Lambda's quotas, IAM's quotas (all inline policies of a role together).
LAMBDA_ENVIRONMENT_BYTES = 4096
ROLE_POLICY_CHARS = 10_240


def resources(module):
    yield from module.get("resources", [])
    for child in module.get("child_modules", []):
        yield from resources(child)


def task_definition(values, model):
    """The request that the provider would make; the field names are ECS's own in the container."""
    request = {
        "family": values["family"],
        "networkMode": values["network_mode"],
        "requiresCompatibilities": values["requires_compatibilities"],
        "cpu": values["cpu"],
        "memory": values["memory"],
        "taskRoleArn": values["task_role_arn"],
        "executionRoleArn": values["execution_role_arn"],
        "runtimePlatform": {
            "cpuArchitecture": values["runtime_platform"][0]["cpu_architecture"],
            "operatingSystemFamily": values["runtime_platform"][0]["operating_system_family"],
        },
        "containerDefinitions": json.loads(values["container_definitions"]),
    }
    shape = model.operation_model("RegisterTaskDefinition").input_shape
    report = botocore.validate.ParamValidator().validate(request, shape)
    return report.generate_report() if report.has_errors() else ""


def shape(arn_format):
    """An action's kind of resource as a pattern; a wildcard in a policy stands for what a name stands for."""
    return re.compile("".join(
        r"[^\x00]+" if part.startswith("${") else re.escape(part)
        for part in re.split(r"(\$\{\w+\})", arn_format)
    ))


def statement_holds(statement):
    """Sentences about actions that there are not, and resources that an action cannot be limited to."""
    fits = set()
    for action in statement["Action"]:
        service, name = action.split(":")
        known = get_action_data(service, name)
        if "*" in action or not known:
            yield f"{statement['Sid']}: AWS has no action {action}"
            continue
        kinds = [each["resource_arn_format"] for each in known[service]]
        shapes = [shape(kind) for kind in kinds if kind != "*"]
        fitting = {arn for arn in statement["Resource"]
                   if any(each.fullmatch(arn) for each in shapes) or not shapes and arn == "*"}
        if not fitting:
            yield f"{statement['Sid']}: {action} is of {' or '.join(kinds)}, not of {statement['Resource']}"
        fits |= fitting
    for arn in sorted(set(statement["Resource"]) - fits):
        yield f"{statement['Sid']}: no action of it is of {arn}"


# The daemon's exit code for settings, and where nobody answers.
EXIT_SETTINGS = 64
NOWHERE = {f"TIDEWIRE_AWS__ENDPOINT_{service}": "http://127.0.0.1:1" for service in ("KINESIS", "DYNAMODB", "SQS", "TIMESTREAM")}
NOBODY = {"AWS_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none", "AWS_EC2_METADATA_DISABLED": "true"}


def refused(daemon, arguments, variables):
    """What the daemon says against its settings; started so, it finds no AWS and ends."""
    done = subprocess.run([daemon, *arguments], env=NOBODY | variables, input="{}", capture_output=True, text=True, timeout=120)
    return done.stderr.strip() if done.returncode == EXIT_SETTINGS else None


def taken(daemon, command, told):
    """Sentences about a process's variables, which the daemon reads itself."""
    told = {name: value or "a-secret-of-more-than-thirty-two-bytes" for name, value in told.items()}
    # `decode` reads all settings and needs none; the command itself knows which it needs.
    runs = [(["decode", "-"], told)]
    if "TIDEWIRE_GATEWAY__JWKS_FILE" not in told:
        runs.append(([command], told | NOWHERE))
    for arguments, variables in runs:
        if said := refused(daemon, arguments, variables):
            yield f"`tidewire {arguments[0]}` does not take its variables: {said}"


def look(values, kind, known, model, daemon):
    """Sentences about one resource."""
    _, variables = known
    told, command = {}, None
    if kind == "aws_ecs_task_definition":
        if report := task_definition(values, model):
            yield f"ECS would not take it: {report}"
        for container in json.loads(values["container_definitions"]):
            told |= {entry["name"]: entry["value"] for entry in container["environment"] + container.get("secrets", [])
                     if entry.setdefault("value", "") is not None}
            command = container["command"][0]
    if kind == "aws_lambda_function":
        told, command = values["environment"][0]["variables"], values["image_config"][0]["command"][0]
        size = sum(len(key) + len(value) for key, value in told.items())
        if size > LAMBDA_ENVIRONMENT_BYTES:
            yield f"{size} bytes of variables, of which Lambda takes {LAMBDA_ENVIRONMENT_BYTES}"
    for name in sorted(set(told) - variables):
        yield f"{name} is no setting of docs/configuration.md"
    if command:
        yield from taken(daemon, command, told)
    if kind == "aws_iam_role_policy":
        if len(values["policy"]) > ROLE_POLICY_CHARS:
            yield f"a policy of {len(values['policy'])} characters"
        for statement in json.loads(values["policy"])["Statement"]:
            yield from statement_holds(statement)


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        state = json.load(file)["values"]
    with open(sys.argv[2], encoding="utf-8") as file:
        known = settings_of(file.read())
    model = botocore.session.Session().get_service_model("ecs")
    wrong, seen = [], 0
    for resource in resources(state["root_module"]):
        if resource["mode"] == "managed":
            seen += 1
            wrong += [f"{resource['address']}: {what}" for what in look(resource["values"], resource["type"], known, model, sys.argv[3])]
    config = state.get("outputs", {}).get("config_toml", {}).get("value")
    if config is not None:
        for section, entries in tomllib.loads(config).items():
            wrong += [f"config_toml: {section}.{key} is no setting of docs/configuration.md"
                      for key in entries if (section, key) not in known[0]]
        with tempfile.NamedTemporaryFile("w", suffix=".toml", encoding="utf-8") as file:
            file.write(config)
            file.flush()
            if said := refused(sys.argv[3], ["decode", "--config", file.name, "-"], {}):
                wrong.append(f"config_toml is not taken: {said}")
    for sentence in wrong:
        print(sentence, file=sys.stderr)
    print(f"{seen} resources looked at" + ("" if config is None else ", and config_toml"))
    sys.exit(1 if wrong or not seen else 0)


if __name__ == "__main__":
    main()

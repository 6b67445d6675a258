"""A stand-in for the AWS provider: speaks Terraform's plugin protocol 6, knows the schema, touches nothing.

`provider.py SCHEMA.json`, started by Terraform. Plans and applies by making answers up, so that wiring,
types and second plans can be looked at without an account."""

import json
import os
import sys
import threading
from concurrent import futures

import grpc
import msgpack

ACCOUNT = "123456789012"
REGION = "eu-central-1"
UNKNOWN = msgpack.ExtType(0, b"\0")
NESTING = {"single": 1, "list": 2, "set": 3, "map": 4}


# --- protocol buffers, as much as is needed -------------------------------------------------------

def varint(number):
    out = bytearray()
    while True:
        low, number = number & 0x7F, number >> 7
        out.append(low | (0x80 if number else 0))
        if not number:
            return bytes(out)


def field(number, value):
    """One field: bytes and texts by length, booleans and numbers as they are; nothing where it is nothing."""
    if value is None or value is False:
        return b""
    if isinstance(value, (bool, int)):
        return varint(number << 3) + varint(int(value))
    if isinstance(value, str):
        value = value.encode()
    return varint(number << 3 | 2) + varint(len(value)) + value


def fields(message):
    """A message's fields by number; the last of each counts."""
    found, at = {}, 0

    def number():
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                return value

    while at < len(message):
        key = number()
        if key & 7 == 0:
            found[key >> 3] = number()
        elif key & 7 == 2:
            length = number()
            found[key >> 3] = message[at:at + length]
            at += length
        else:
            raise ValueError(f"wire type {key & 7}")
    return found


def value_of(dynamic):
    inside = fields(dynamic or b"")
    if 2 in inside:
        return json.loads(inside[2])
    packed = inside.get(1)
    return None if packed is None else msgpack.unpackb(packed, ext_hook=lambda *_: UNKNOWN,
                                                       strict_map_key=False)


def dynamic_of(value):
    return field(1, msgpack.packb(value))


# --- the schema -----------------------------------------------------------------------------------

def encode_block(block):
    out = field(1, 0)
    for name, attribute in sorted(block["attributes"].items()):
        out += field(2, field(1, name) + field(2, json.dumps(attribute["type"])) + field(4, attribute.get("required"))
                     + field(5, attribute.get("optional")) + field(6, attribute.get("computed")))
    for name, nested in sorted(block["blocks"].items()):
        out += field(3, field(1, name) + field(2, encode_block(nested["block"])) + field(3, NESTING[nested["nesting"]])
                     + field(4, nested["min"]) + field(5, nested["max"]))
    return out


def encode_schema(block):
    return field(2, encode_block(block))


def encode_schemas(schema):
    out = field(1, encode_schema(schema["provider"]))
    for number, kind in ((2, "resource"), (3, "data")):
        for name, block in sorted(schema[kind].items()):
            out += field(number, field(1, name) + field(2, encode_schema(block)))
    return out


# --- answers that are made up ---------------------------------------------------------------------

def filled(block, value, fill, prior=None):
    """The block's value with `fill(name, type)` wherever AWS would answer and nothing stands yet."""
    if value is None:
        return None
    value = dict(value)
    for name, attribute in block["attributes"].items():
        if attribute.get("computed") and value.get(name) is None:
            value[name] = fill(name, attribute["type"])
        elif value.get(name) == UNKNOWN and fill is not unknown:
            value[name] = fill(name, attribute["type"])
    for name, nested in block["blocks"].items():
        inner = value.get(name)
        if isinstance(inner, list):
            value[name] = [filled(nested["block"], each, fill) for each in inner]
        elif isinstance(inner, dict):
            value[name] = filled(nested["block"], inner, fill)
    return value


def unknown(_name, _kind):
    return UNKNOWN


def faker(kind, given):
    """Believable answers: ARNs are ARNs, addresses are addresses."""
    def name_of():
        for key in ("name", "function_name", "domain_name", "table_name", "bucket", "family"):
            if isinstance(given.get(key), str):
                return given[key]
        return kind.removeprefix("aws_").replace("_", "-")

    def fake(name, type_of):
        if isinstance(type_of, list):
            if type_of[0] == "object":
                return {key: fake(key, inner) for key, inner in type_of[1].items()}
            if type_of[0] == "map":
                return {}
            return ["subnet-0a", "subnet-0b"] if name == "ids" else []
        if type_of == "bool":
            return False
        if type_of == "number":
            return 1
        paths = {
            "aws_kinesis_stream": "kinesis:{}:stream/{}", "aws_cloudwatch_log_group": "logs:{}:log-group:{}",
            "aws_secretsmanager_secret": "secretsmanager:{}:secret:{}-a1b2c3", "aws_ecs_cluster": "ecs:{}:cluster/{}",
        }
        path = paths.get(kind, kind.removeprefix("aws_").split("_")[0] + ":{}:{}")
        texts = {
            "account_id": ACCOUNT, "id": name_of(), "region": REGION, "partition": "aws",
            "url": f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{name_of()}",
            "arn": "arn:aws:" + path.format(f"{REGION}:{ACCOUNT}", name_of()),
            "execution_arn": f"arn:aws:execute-api:{REGION}:{ACCOUNT}:abc123",
            "invoke_url": f"wss://abc123.execute-api.{REGION}.amazonaws.com/{name_of()}",
            "invoke_arn": f"arn:aws:apigateway:{REGION}:lambda:path/2015-03-31/functions/{name_of()}/invocations",
        }
        return texts.get(name, f"{name}-of-{name_of()}")
    return fake


# --- the service ----------------------------------------------------------------------------------

class Provider:
    def __init__(self, schema):
        self.schema = schema

    def GetProviderSchema(self, _request):
        return encode_schemas(self.schema)

    def ValidateProviderConfig(self, _request):
        return b""

    ValidateResourceConfig = ValidateDataResourceConfig = ConfigureProvider = StopProvider = ValidateProviderConfig

    def UpgradeResourceState(self, request):
        raw = fields(fields(request)[3])
        return field(1, dynamic_of(json.loads(raw[1])))

    def ReadResource(self, request):
        return field(1, fields(request)[2])

    def PlanResourceChange(self, request):
        asked = fields(request)
        kind = asked[1].decode()
        prior, proposed = value_of(asked.get(2)), value_of(asked.get(3))
        if prior is None and proposed is not None:
            proposed = filled(self.schema["resource"][kind], proposed, unknown)
        return field(1, dynamic_of(proposed))

    def ApplyResourceChange(self, request):
        asked = fields(request)
        kind = asked[1].decode()
        planned = value_of(asked.get(3))
        if planned is not None:
            planned = filled(self.schema["resource"][kind], planned, faker(kind, planned))
        return field(1, dynamic_of(planned))

    def ReadDataSource(self, request):
        asked = fields(request)
        kind = asked[1].decode()
        given = value_of(asked.get(2))
        return field(1, dynamic_of(filled(self.schema["data"][kind], given, faker(kind, given))))


class Handler(grpc.GenericRpcHandler):
    def __init__(self, provider, done):
        self.provider, self.done = provider, done

    def service(self, details):
        service, method = details.method.strip("/").split("/")
        if service == "plugin.GRPCController" and method == "Shutdown":
            return grpc.unary_unary_rpc_method_handler(self.shutdown)
        found = getattr(self.provider, method, None) if service == "tfplugin6.Provider" else None
        return found and grpc.unary_unary_rpc_method_handler(lambda request, _context: found(request))

    def shutdown(self, _request, _context):
        self.done.set()
        return b""


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        provider = Provider(json.load(file))
    done = threading.Event()
    server = grpc.server(futures.ThreadPoolExecutor(4), options=[("grpc.max_receive_message_length", 64 << 20)])
    server.add_generic_rpc_handlers((Handler(provider, done),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(f"1|6|tcp|127.0.0.1:{port}|grpc|", flush=True)
    # Without a parent nobody would ever say that it is over.
    parent = os.getppid()
    while not done.wait(1):
        if os.getppid() != parent:
            break
    server.stop(None)


if __name__ == "__main__":
    main()

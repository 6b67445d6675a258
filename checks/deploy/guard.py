"""Stands between a process and the embedded AWS as IAM does on the real one: lets through what deploy/iam
allows the process, refuses the rest, and keeps account of both. Python's own library only."""

import http.client
import http.server
import json
import os
import re
import threading
import urllib.parse

from tools import ROOT

# By which action IAM judges a call that is called otherwise.
ACTIONS = {"SendMessageBatch": "SendMessage", "DeleteMessageBatch": "DeleteMessage"}
SERVICES = {"kinesis": "kinesis", "dynamodb": "dynamodb", "sqs": "sqs", "timestream": "timestream", "management": "execute-api"}


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        """Whoever went away in the middle: the process, or at the end the stand."""


class Policy:
    """A template of deploy/iam with the stand's names in place of ARNs."""

    def __init__(self, process, names):
        with open(os.path.join(ROOT, "deploy", "iam", f"{process}.json"), encoding="utf-8") as file:
            plain = re.sub(r"\$\{jsonencode\((\w+)\)\}", r'"\1"', file.read())
        self.statements = [
            (statement["Sid"], set(statement["Action"]), names[statement["Resource"]])
            for statement in json.loads(plain)["Statement"]
        ]
        self.used, self.denied = set(), set()

    def allows(self, action, resource):
        for sid, actions, resources in self.statements:
            if action in actions and (resource is None or resource in resources):
                self.used.add((sid, action))
                return True
        self.denied.add((action, resource))
        return False

    def unused(self):
        return {(sid, action) for sid, actions, _ in self.statements for action in actions} - self.used


def asked_for(service, request, body):
    """(action, resource) of a request; the resource is None where only a handle tells it."""
    if service == "management":
        return "execute-api:ManageConnections", request.command
    operation = request.headers.get("x-amz-target", ".").rsplit(".", 1)[1]
    action = f"{SERVICES[service]}:{ACTIONS.get(operation, operation)}"
    given = json.loads(body or b"{}")
    for key in ("TableName", "StreamName", "StreamARN", "QueueUrl"):
        if key in given:
            return action, given[key].rsplit("/", 1)[-1]
    return action, None


def guard(service, target, policy):
    """A server before `target` (an URL); answers its own URL."""
    at = urllib.parse.urlsplit(target)

    class Door(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def pass_on(self):
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            action, resource = asked_for(service, self, body)
            if not policy.allows(action, resource):
                said = json.dumps({"__type": "AccessDeniedException", "message": f"not allowed: {action} on {resource}"})
                self.answer(403 if service == "management" else 400, [("content-type", "application/x-amz-json-1.0")], said.encode())
                return
            onward = http.client.HTTPConnection(at.hostname, at.port, timeout=60)
            headers = {key: value for key, value in self.headers.items() if key.lower() != "host"}
            onward.request(self.command, self.path, body, headers | {"host": at.netloc})
            got = onward.getresponse()
            kept = [(key, value) for key, value in got.getheaders()
                    if key.lower() not in ("transfer-encoding", "connection", "content-length")]
            self.answer(got.status, kept, got.read())
            onward.close()

        do_GET = do_POST = do_DELETE = pass_on

        def answer(self, status, headers, body):
            self.send_response_only(status)
            for key, value in headers:
                self.send_header(key, value)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = Server(("127.0.0.1", 0), Door)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}{at.path}"


class Lambda:
    """The Lambda service as one function sees it: hands out events, takes answers."""

    def __init__(self):
        self.events, self.answers, self.turn = [], [], threading.Condition()
        service = self

        class Door(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                with service.turn:
                    service.turn.wait_for(lambda: service.events)
                    body = json.dumps(service.events.pop(0)).encode()
                self.send_response_only(200)
                for key, value in (("Lambda-Runtime-Aws-Request-Id", "1"), ("Lambda-Runtime-Deadline-Ms", "99999999999999"),
                                   ("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:us-east-1:000000000000:function:g"),
                                   ("content-type", "application/json"), ("content-length", str(len(body)))):
                    self.send_header(key, value)
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                with service.turn:
                    service.answers.append(json.loads(body))
                    service.turn.notify_all()
                self.send_response_only(202)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        server = Server(("127.0.0.1", 0), Door)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.environment = {
            "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{server.server_port}", "AWS_LAMBDA_FUNCTION_NAME": "gateway",
            "AWS_LAMBDA_FUNCTION_VERSION": "1", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
        }

    def invoke(self, event, seconds=60):
        """The function's answer to an event; None where none came in time."""
        with self.turn:
            count = len(self.answers)
            self.events.append(event)
            self.turn.notify_all()
            self.turn.wait_for(lambda: len(self.answers) > count, timeout=seconds)
            return self.answers[-1] if len(self.answers) > count else None

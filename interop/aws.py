"""The few AWS calls that the harness makes itself: JSON over HTTP, dummy credentials, no SDK."""

import json
import urllib.error
import urllib.request

KINESIS = "Kinesis_20131202"
DYNAMODB = "DynamoDB_20120810"
SQS = "AmazonSQS"
# Local servers look at the shape of this header at most.
AUTHORIZATION = (
    "AWS4-HMAC-SHA256 Credential=local/20260101/us-east-1/{service}/aws4_request, "
    "SignedHeaders=host;x-amz-date, Signature=" + "0" * 64
)
CALL_TIMEOUT_S = 30


class Refused(Exception):
    """A server answered with an error; `code` is its name as AWS has it."""

    def __init__(self, code, message):
        super().__init__(f"{code}: {message}")
        self.code = code


class Service:
    """One service of a stand."""

    def __init__(self, url, target):
        self.url = url
        self.target = target
        self.kind = "1.1" if target == KINESIS else "1.0"

    def call(self, operation, body):
        service = self.target.split("_")[0].lower().removeprefix("amazon")
        request = urllib.request.Request(
            self.url,
            data=json.dumps(body).encode(),
            headers={
                "Content-Type": f"application/x-amz-json-{self.kind}",
                "X-Amz-Target": f"{self.target}.{operation}",
                "X-Amz-Date": "20260101T000000Z",
                "Authorization": AUTHORIZATION.format(service=service),
            },
        )
        try:
            with urllib.request.urlopen(request, timeout=CALL_TIMEOUT_S) as answer:
                return json.loads(answer.read() or b"{}")
        except urllib.error.HTTPError as error:
            raw = error.read()
            try:
                said = json.loads(raw)
            except ValueError:
                said = {"message": raw.decode(errors="replace")}
            code = said.get("__type", str(error.code)).split("#")[-1]
            message = said.get("message") or said.get("Message") or ""
            raise Refused(code, message) from None


def rows_of(dynamodb, table):
    """Every row of a table, attributes as plain values; `None` where the table is not there yet."""
    rows, start = {}, {}
    while True:
        try:
            answer = dynamodb.call("Scan", {"TableName": table, "ConsistentRead": True, **start})
        except Refused as refused:
            if refused.code == "ResourceNotFoundException":
                return None
            raise
        for item in answer["Items"]:
            row = {name: next(iter(value.values())) for name, value in item.items()}
            rows[row["leaseKey"]] = row
        if "LastEvaluatedKey" not in answer:
            return rows
        start = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}

"""Aggregates as aws-kinesis-agg 1.2.3 writes them, one a line: name, space, base64."""
import base64
import json

from aws_kinesis_agg.aggregator import RecordAggregator


def reading(device, n):
    body = {"device_id": device, "ts": 1372896000000 + n, "t": 20.5 + n}
    return json.dumps(body).encode()


def aggregate(records):
    whole = RecordAggregator()
    for key, hash_key, data in records:
        whole.add_user_record(key, data, hash_key)
    return base64.b64encode(whole.clear_and_get().get_contents()[2]).decode()


keyed = [("pump-%d" % (n % 3), None, reading("pump-%d" % (n % 3), n)) for n in range(6)]
# The first half of the hash keys, the second, and the two ends.
ends = ["0", str(2**127 - 1), str(2**127), str(2**128 - 1)]
hashed = [("pump-1", end, reading("pump-1", n)) for n, end in enumerate(ends)]
mixed = [("pump-1", None, reading("pump-1", 0)), ("pump-1", None, b"not JSON"), ("pump-1", None, b"")]
for name, records in [("keyed", keyed), ("hashed", hashed), ("mixed", mixed)]:
    print(name, aggregate(records))

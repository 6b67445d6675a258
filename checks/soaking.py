"""What a soak is made of: a load of numbered readings, a tap that counts them, and workers."""

import base64
import json
import os
import threading
import time

from aws import Refused
from stand import call, free_port

DEVICES = 64


class Load(threading.Thread):
    """Puts readings numbered from 0 on; reading `n` has the time `first_ms + n`."""

    PAUSE_S = 0.1

    def __init__(self, kinesis, stream, rate):
        super().__init__(daemon=True)
        self.kinesis, self.stream = kinesis, stream
        self.batch = max(1, round(rate * self.PAUSE_S))
        self.first_ms = int(time.time() * 1000) - 60_000
        # All readings below this number are on the stream.
        self.put = 0
        self.over = threading.Event()
        self.failure = None

    def run(self):
        try:
            while not self.over.wait(self.PAUSE_S):
                self._put(range(self.put, self.put + self.batch))
                self.put += self.batch
        except Exception as failure:  # noqa: BLE001, told by the main thread
            self.failure = failure

    def _put(self, numbers):
        waiting = []
        for n in numbers:
            reading = {"device_id": f"d{n % DEVICES}", "ts": self.first_ms + n, "n": n}
            data = base64.b64encode(json.dumps(reading).encode()).decode()
            waiting.append({"PartitionKey": reading["device_id"], "Data": data})
        while waiting:
            try:
                answer = self.kinesis.call("PutRecords", {"StreamName": self.stream, "Records": waiting})
            except Refused:
                time.sleep(self.PAUSE_S)
                continue
            waiting = [record for record, fate in zip(waiting, answer["Records"]) if "SequenceNumber" not in fate]
            if waiting:
                time.sleep(self.PAUSE_S)


class Tap(threading.Thread):
    """Takes every reading off a live queue: which came, and how many came again."""

    def __init__(self, sqs):
        super().__init__(daemon=True)
        self.sqs = sqs
        self.url = sqs.call("CreateQueue", {"QueueName": "soak"})["QueueUrl"]
        self.times = bytearray()
        # Deliveries of what had come before.
        self.repeated = 0
        self.over = threading.Event()

    def run(self):
        while not self.over.is_set():
            try:
                self._hear()
            except (Refused, OSError):
                time.sleep(0.2)

    def _hear(self):
        asked = {"QueueUrl": self.url, "MaxNumberOfMessages": 10, "WaitTimeSeconds": 1}
        messages = self.sqs.call("ReceiveMessage", asked).get("Messages", [])
        for message in messages:
            # First deleted, then counted: a failed deletion would bring it again.
            self.sqs.call("DeleteMessage", {"QueueUrl": self.url, "ReceiptHandle": message["ReceiptHandle"]})
            for reading in json.loads(message["Body"])["readings"]:
                self.count(int(reading["measures"]["n"]))

    def count(self, n):
        if n >= len(self.times):
            self.times.extend(bytes(n + 10_000 - len(self.times)))
        self.repeated += self.times[n]
        self.times[n] = 1

    def heard(self, first, end):
        """How many of these came."""
        return sum(self.times[first:end])


class Worker:
    """A worker process, its wall clock in a file where faketime is there."""

    def __init__(self, soak, number):
        self.clock = os.path.join(soak.stand.place.name, f"clock-{number}")
        self.set_clock(0)
        self.address = f"http://127.0.0.1:{free_port()}"
        env = dict(os.environ)
        settings = {"QUEUE__URLS": soak.tap.url, "QUEUE__WINDOW_MS": "100"}
        settings["LEASE__DURATION_MS"] = str(soak.args.lease_ms)
        settings["LEASE__RENEW_EVERY_MS"] = str(soak.args.lease_ms // 3)
        settings["HTTP__LISTEN"] = self.address.removeprefix("http://")
        env.update({f"TIDEWIRE_{key}": value for key, value in settings.items()})
        if soak.faketime:
            # The wall clock only; it is looked up anew every second.
            env.update(
                LD_PRELOAD=soak.faketime,
                FAKETIME_TIMESTAMP_FILE=self.clock,
                FAKETIME_CACHE_DURATION="1",
                FAKETIME_DONT_FAKE_MONOTONIC="1",
            )
        self.process = soak.stand.start(["worker", "--config", soak.stand.card["config"]], env)

    def set_clock(self, offset_s):
        with open(self.clock, "w") as file:
            file.write(f"{offset_s:+d}\n")

    def state(self):
        return json.loads(call(f"{self.address}/state")[1])

    def reads(self):
        shards = self.state()["readings"]["shards"].items()
        return [shard for shard, state in shards if not state["ended"] and not state["draining"]]

    def resident_kb(self):
        try:
            with open(f"/proc/{self.process.pid}/status") as status:
                return next((int(line.split()[1]) for line in status if line.startswith("VmRSS")), 0)
        except OSError:
            return 0

    def broken(self):
        """Invariants that it says were broken."""
        metrics = call(f"{self.address}/metrics")[1].splitlines()
        lines = [line for line in metrics if line.startswith("tidewire_invariants_broken_total{")]
        return [line for line in lines if float(line.split()[-1]) > 0]

    def complaints(self):
        with open(self.process.log) as log:
            return [line.strip() for line in log if '"ERROR"' in line or "panicked" in line]

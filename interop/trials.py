"""The oracle is tried before it judges: each offence is shown to it, and it must be convicted."""

import oracle

PUT = {("shard-0", seq): "device" for seq in range(1, 41)}
HALF = [("shard-0", seq) for seq in range(1, 21)]
REST = [("shard-0", seq) for seq in range(21, 41)]


class Worker:
    def __init__(self, kind, delivered, log=(), takes=1, starts=(0,)):
        self.kind, self.name = kind, f"{kind}-of-a-trial"
        self._delivered, self._log, self._takes, self._starts = delivered, log, takes, starts

    def delivered(self):
        return self._delivered

    def log(self):
        return self._log

    def said(self, _message):
        return [{"shard_id": "shard-0"}] * self._takes

    def lines(self):
        for index, (shard, seq) in enumerate(self._delivered):
            if index in self._starts:
                yield ["start", shard, "TRIM_HORIZON"]
            yield ["record", shard, str(seq), "0", "device"]


class Watch:
    def __init__(self, offences=()):
        self.offences, self.looks = list(offences), 1


def java(delivered=HALF, **more):
    return Worker("java", delivered, **more)


def ours(delivered=REST, **more):
    return Worker("tidewire", delivered, **more)


INNOCENT = [
    ([java(), ours()], Watch()),
    # A new ownership may go back to the checkpoint.
    ([java(HALF[:10] + HALF[9:], starts=(0, 10)), ours()], Watch()),
    ([java(), ours(REST[:10] + REST[9:], takes=2)], Watch()),
]
GUILTY = {
    "delivered by nobody": ([java(), ours(REST[1:])], Watch()),
    "that nobody put": ([java(HALF + [("shard-0", 99)]), ours()], Watch()),
    "are more than": ([java(HALF + HALF, starts=(0, 20)), ours()], Watch()),
    "java delivered 0": ([java([]), ours(HALF + REST)], Watch()),
    "java-of-a-trial did not keep the order": ([java(HALF[1:] + HALF[:1]), ours()], Watch()),
    "tidewire-of-a-trial did not keep the order": ([java(), ours(REST[1:] + REST[:1])], Watch()),
    "java-of-a-trial complains": ([java(log=["java.lang.NullPointerException"]), ours()], Watch()),
    "tidewire-of-a-trial complains": ([java(), ours(log=['{"message":"row left alone"}'])], Watch()),
    "a counter fell": ([java(), ours()], Watch(["a counter fell: 7 -> 6"])),
}


def hold():
    """Raises if the oracle lets an offence pass or convicts the innocent."""
    for workers, watch in INNOCENT:
        _, wrong = oracle.judge(PUT, workers, watch)
        assert not wrong, f"the innocent were convicted: {wrong}"
    for words, (workers, watch) in GUILTY.items():
        _, wrong = oracle.judge(PUT, workers, watch)
        assert any(words in offence for offence in wrong), f"not convicted: {words}"

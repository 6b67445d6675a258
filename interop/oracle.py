"""What must hold of a run, from what was put and what each worker says it did."""

import re
from collections import defaultdict

DELIVERED_MAX = 1.05
SHARE_MIN = 0.10
# How Java KCL complains of a row it cannot read, or of a table that contradicts it.
JAVA_TROUBLE = re.compile(r"NullPointerException|[Dd]eserializ|fromDynamoRecord|InvalidStateException|ClassCast|NumberFormat")


def judge(put, workers, watch):
    """Returns the figures of a run and everything that is wrong with it."""
    wrong = []
    delivered = defaultdict(int)
    by_kind = defaultdict(int)
    for worker in workers:
        for record in worker.delivered():
            delivered[record] += 1
            by_kind[worker.kind] += 1
    lost = [record for record in put if record not in delivered]
    alien = [record for record in delivered if record not in put]
    total, unique = sum(delivered.values()), len(put)
    if lost:
        wrong.append(f"{len(lost)} of {unique} records were delivered by nobody, such as {lost[:3]}")
    if alien:
        wrong.append(f"{len(alien)} records were delivered that nobody put, such as {alien[:3]}")
    if total > DELIVERED_MAX * unique:
        wrong.append(f"{total} deliveries of {unique} records are more than {DELIVERED_MAX:.0%}")
    for kind in ("java", "tidewire"):
        if by_kind[kind] < SHARE_MIN * total:
            wrong.append(f"{kind} delivered {by_kind[kind]} of {total}: less than {SHARE_MIN:.0%}")
    for worker in workers:
        wrong += order(worker) + complaints(worker)
    wrong += watch.offences[:5]
    figures = {
        "records put": unique,
        "delivered": total,
        "delivered / put": f"{total / max(unique, 1):.2%}",
        "by Java": f"{by_kind['java'] / max(total, 1):.0%}",
        "by tidewire": f"{by_kind['tidewire'] / max(total, 1):.0%}",
        "lost": len(lost),
        "looks at the table": watch.looks,
    }
    return figures, wrong


def order(worker):
    """Within one ownership a shard's records rise."""
    spans = java_spans(worker) if worker.kind == "java" else tidewire_spans(worker)
    return [f"{worker.name} did not keep the order of {shard}: {what}" for shard, what in spans]


def java_spans(worker):
    last = {}
    for words in worker.lines():
        shard = words[1]
        if words[0] == "start":
            last[shard] = -1
        elif words[0] == "record":
            if int(words[2]) <= last[shard]:
                yield shard, f"{words[2]} after {last[shard]}"
            last[shard] = int(words[2])


def tidewire_spans(worker):
    """Its messages do not say under which ownership they were sent: each but the first may step
    back once, to the checkpoint."""
    takes, backs, last = defaultdict(int), defaultdict(int), {}
    for said in worker.said("lease taken"):
        takes[said["shard_id"]] += 1
    for shard, seq in worker.delivered():
        if seq <= last.get(shard, -1):
            backs[shard] += 1
        last[shard] = seq
    for shard, count in backs.items():
        if count > max(takes[shard] - 1, 0):
            yield shard, f"{count} steps back in {takes[shard]} ownerships"


def complaints(worker):
    if worker.kind == "java":
        found = [line for line in worker.log() if JAVA_TROUBLE.search(line)]
    else:
        loud = ('"ERROR"', "row left alone", "this is a defect", "panicked")
        found = [line for line in worker.log() if any(word in line for word in loud)]
    return [f"{worker.name} complains: {line}" for line in found[:3]]

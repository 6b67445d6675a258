#!/usr/bin/env python3
"""Java KCL and tidewire on one stream and one lease table, through everything that happens to a
fleet. Exits 0 if all holds, 1 if not, 3 if it cannot run here.

    interop/run.py                      KCL 2.7.2, then 3.5.1 configured COMPATIBLE_WITH_2X_PHASE1
    interop/run.py --kcl 2              one of them
    interop/run.py --dynamodb URL       the lease table on another DynamoDB
    interop/run.py --dynamodb-local     the lease table on AWS's own DynamoDB Local, which Maven
                                        fetches: by this you accept its licence, which is for those
                                        who have an AWS account in good standing
"""

import argparse
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import oracle
import trials
from fleet import ENDED, DynamoDbLocal, Java, Putter, Stand, Tidewire, Watch, place

ROOT = Path(__file__).resolve().parent.parent
BUILT = ROOT / "target" / "interop"
NAMES = {"2": "KCL 2.7.2", "3": "KCL 3.5.1, COMPATIBLE_WITH_2X_PHASE1"}
CANNOT_RUN = 3
# A Java worker that finds an empty table waits up to 30 s for another to fill it, then for its
# turns.
JAVA_START_S = 150


class Scenario:
    """One run: the fleet as it is, and the words to change it with."""

    def __init__(self, args, kcl, folder):
        self.args, self.folder = args, folder
        self.kcl = BUILT / f"kcl{kcl}"
        self.workers, self.moves = [], []
        self.table = self._dynamodb_local() if args.dynamodb_local else None
        url = self.table.url if self.table else args.dynamodb
        self.stand = Stand(args.tidewire, folder, args.shards, url)
        self.putter, self.watch = Putter(self.stand, args.rate), Watch(self.stand)

    def _dynamodb_local(self):
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            port = listener.getsockname()[1]
        server = DynamoDbLocal(self.folder, BUILT / "dynamodb-local", port)
        deadline = time.monotonic() + JAVA_START_S
        while not server.answers():
            if server.child.poll() is not None or time.monotonic() > deadline:
                server.child.kill()
                raise RuntimeError(f"DynamoDB Local does not start, see {server.log_path}")
            time.sleep(0.2)
        return server

    def java(self, name):
        return self._joined(Java(name, self.folder, self.stand, self.kcl, self.args.failover_ms))

    def tidewire(self, name):
        return self._joined(Tidewire(name, self.folder, self.stand, self.args.tidewire, self.args.failover_ms))

    def _joined(self, worker):
        self.workers.append(worker)
        return worker

    def live(self):
        """Leases that are not ended, by key."""
        return {key: row for key, row in self.watch.rows.items() if row["checkpoint"] != ENDED}

    def held(self, worker):
        return sum(worker.owns(row.get("leaseOwner")) for row in self.live().values())

    def until(self, what, holds, deadline_s=None):
        """Waits for a condition on the fleet; a step of the run."""
        deadline_s = deadline_s or 12 * self.args.failover_ms / 1000
        begun = time.monotonic()
        while not holds():
            for part in (self.putter, self.watch):
                if part.failure:
                    raise part.failure
            for process in [self.stand, *self.workers]:
                process.check()
            if time.monotonic() - begun > deadline_s:
                raise RuntimeError(f"not within {deadline_s:.0f} s: {what}; the table: {self.watch.rows}")
            time.sleep(0.2)
        print(f"  {time.monotonic() - begun:6.1f} s  {what}", flush=True)

    def settled(self, least):
        """Every shard that may be read has a live owner, and each living worker at least so many.
        Just after a reshard a worker may have none: ended leases count among its share."""
        living = [worker for worker in self.workers if worker.alive]
        rows = self.live()
        listed = {shard["ShardId"] for shard in self.stand.open_shards()}
        owned = all(any(worker.owns(row.get("leaseOwner")) for worker in living) for row in rows.values())
        return owned and listed == set(rows) and all(self.held(worker) >= least for worker in living)

    def ended(self, shards):
        rows = self.watch.rows
        return all(rows.get(shard, {"checkpoint": ENDED})["checkpoint"] == ENDED for shard in shards)

    def everything_delivered(self):
        done = set()
        for worker in self.workers:
            done.update(worker.delivered())
        return all(record in done for record in list(self.putter.put))

    def went_on(self):
        """Each move: the worker that stayed went on where the one that left had its checkpoints. The
        table is looked at twice a second, so what a checkpoint was when the lease passed lies
        between two looks. Returns how many leases passed, and what is wrong with that."""
        moved, wrong = 0, []
        for worker, passages, counts in self.moves:
            new = worker.delivered()[counts:]
            passed = {}
            for shard, before, after in passages:
                if worker.owns(after.get("leaseOwner")):
                    passed.setdefault(shard, (place(before["checkpoint"]), place(after["checkpoint"])))
            for shard, (least, most) in passed.items():
                seqs = [seq for key, seq in new if key == shard]
                after = sorted(seq for key, seq in self.putter.put if key == shard and seq > least)
                due = [seq for seq in after if seq <= most] + [seq for seq in after if seq > most][:1]
                if due and (not seqs or seqs[0] not in due):
                    first = seqs[0] if seqs else "nothing"
                    wrong.append(f"{worker.name} went on in {shard} with {first}, its checkpoint was {least}")
            moved += len(passed)
        return moved, wrong

    def play(self):
        self.watch.start()
        first = self.java("java-1")
        self.putter.start()
        self.until("a Java worker begins: it holds all", lambda: self.settled(1), JAVA_START_S)
        ours = self.tidewire("tw-1")
        self.until("a tidewire worker joins: half each", lambda: self.settled(self.args.shards // 2))
        split = self.stand.split()
        self.until("a shard is split", lambda: self.ended(split) and self.settled(0))
        second = self.java("java-2")
        self.until("a Java worker joins", lambda: self.settled(1))
        first.kill()
        self.until("a Java worker is killed", lambda: self.settled(0))
        other = self.tidewire("tw-2")
        self.until("a tidewire worker joins", lambda: self.settled(1))
        merged = self.stand.merge()
        self.until("two shards are merged", lambda: self.ended(merged) and self.settled(0))
        ours.kill()
        self.until("a tidewire worker is killed", lambda: self.settled(0))
        self.move(second, other, "the last Java worker leaves: all is tidewire's")
        third = self.java("java-3")
        self.until("a Java worker joins", lambda: self.settled(1))
        self.move(other, third, "the last tidewire worker leaves: all is Java's")
        self.putter.over.set()
        self.putter.join()
        self.until("everything put is delivered", self.everything_delivered)
        third.leave()

    def move(self, leaving, staying, what):
        counts, passages = len(staying.delivered()), len(self.watch.passages)
        seconds = leaving.leave()
        self.until(f"{what} ({leaving.name} ended in {seconds:.1f} s)", lambda: self.settled(1))
        self.moves.append((staying, self.watch.passages[passages:], counts))
        # It has the fleet to itself for a while.
        enough = len(staying.delivered()) + 5 * self.args.rate
        self.until("it goes on", lambda: len(staying.delivered()) > enough)

    def end(self):
        self.putter.over.set()
        self.watch.over.set()
        for process in [*self.workers, self.stand, *filter(None, [self.table])]:
            if process.child.poll() is None:
                process.kill()
        for worker in self.workers:
            worker.listening = False


def run(args, kcl):
    """One version of KCL. Returns whether all held."""
    folder = tempfile.mkdtemp(prefix=f"interop-kcl{kcl}-", dir=BUILT)
    where = ", the lease table on DynamoDB Local" if args.dynamodb_local else ""
    print(f"{NAMES[kcl]}{where}: {args.shards} shards, {args.rate} records/s, leases of {args.failover_ms} ms; logs in {folder}")
    scenario = Scenario(args, kcl, folder)
    try:
        scenario.play()
        figures, wrong = oracle.judge(scenario.putter.put, scenario.workers, scenario.watch)
        figures["leases moved on purpose"], gaps = scenario.went_on()
        wrong += gaps
    except RuntimeError as stuck:
        figures, wrong = {}, [str(stuck)]
    finally:
        scenario.end()
    for name, value in figures.items():
        print(f"  {name:<20} {value}")
    for offence in wrong:
        print(f"  WRONG: {offence}")
    print(f"  {'failed' if wrong else 'all holds'}\n", flush=True)
    return not wrong


def missing():
    """What this machine lacks."""
    needs = {"java": "a JVM (17 or later)", "mvn": "Maven", "cargo": "Rust's cargo"}
    return [what for command, what in needs.items() if shutil.which(command) is None]


def build(args):
    maven = ["mvn", "-q", "-B", "-f"]
    steps = [([*maven, str(ROOT / "interop" / "kcl" / "pom.xml"), "compile"], "the Java workers")]
    if args.dynamodb_local:
        steps.append(([*maven, str(ROOT / "interop" / "dynamodb-local" / "pom.xml"), "compile"], "DynamoDB Local"))
    if args.tidewire is None:
        args.tidewire = str(ROOT / "target" / "debug" / "tidewire")
        steps.append((["cargo", "build", "--quiet", "--locked", "--bin", "tidewire"], "tidewire"))
    for command, what in steps:
        if subprocess.run(command, cwd=ROOT, check=False).returncode != 0:
            print(f"cannot run: {what} did not build ({' '.join(command)})", file=sys.stderr)
            sys.exit(CANNOT_RUN)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kcl", choices=["2", "3", "both"], default="both")
    parser.add_argument("--shards", type=int, default=4)
    parser.add_argument("--rate", type=int, default=100, help="records a second")
    parser.add_argument("--failover-ms", type=int, default=10_000, help="how long a lease lasts, for both kinds")
    parser.add_argument("--dynamodb", metavar="URL", help="where the lease table is, if not on the stand")
    parser.add_argument("--dynamodb-local", action="store_true", help="on AWS's own, whose licence you accept")
    parser.add_argument("--tidewire", metavar="PATH", help="the binary, if not a debug build")
    args = parser.parse_args()
    lacking = missing()
    if lacking:
        print(f"cannot run: this machine lacks {' and '.join(lacking)}", file=sys.stderr)
        return CANNOT_RUN
    trials.hold()
    BUILT.mkdir(parents=True, exist_ok=True)
    build(args)
    versions = ["2", "3"] if args.kcl == "both" else [args.kcl]
    return 0 if all([run(args, kcl) for kcl in versions]) else 1


if __name__ == "__main__":
    sys.exit(main())

"""`python -m tests.fuzz --minutes 5`: every target on each core. Exit code 1 if anything is unhandled."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from bot.runtime import event_loop
from tests.fuzz.all_targets import TARGETS
from tests.fuzz.run import Result, Runner, Unhandled, opened
from tests.fuzz.target import Target, make_input
from tests.paths import ROOT

NO_PROGRESS_SECONDS = 120.0
"""After this long without a new input a worker is killed: it hangs where Python cannot interrupt it."""


def main() -> int:
    args = _arguments()
    targets = [target for target in TARGETS if not args.target or args.target in target.name]
    if args.replay:
        return event_loop.run(_replay(args.replay))
    if args.worker is not None:
        return event_loop.run(_work(args, targets))
    results = _Supervisor(args, targets).run()
    return _report(results, args)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seed", default="1", help="any text; the same seed makes the same inputs")
    parser.add_argument("--target", default="", help="only the targets whose name contains this")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--goal", type=int, default=0, help="fail below so many inputs")
    parser.add_argument("--out", type=Path, default=Path("fuzz-findings"), help="where findings are saved")
    parser.add_argument("--replay", help="try the input of one seed again, as a report names it")
    parser.add_argument("--worker", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--first", type=int, default=0, help=argparse.SUPPRESS)
    return parser.parse_args()


# One worker process


async def _work(args: argparse.Namespace, targets: Sequence[Target]) -> int:
    seconds_of = _seconds(args, targets)
    position = os.open(args.out / f"worker-{args.worker}.position", os.O_RDWR | os.O_CREAT, 0o600)
    with (args.out / f"worker-{args.worker}.results").open("a", encoding="utf-8") as results:
        for index in range(args.first, len(targets)):
            target = targets[index]

            def progress(number: int, index: int = index) -> None:
                os.pwrite(position, f"{index:>8} {number:>12}".encode(), 0)

            progress(0)
            runner = Runner(target, f"{args.seed}-{args.worker}", progress=progress)
            result = await runner.run(seconds=seconds_of[target.name])
            results.write(json.dumps(asdict(result), default=lambda data: data.hex()) + "\n")
            results.flush()
    return 0


def _seconds(args: argparse.Namespace, targets: Sequence[Target]) -> dict[str, float]:
    """How long each target runs in each process."""
    shares = sum(target.share for target in targets)
    return {target.name: 60 * args.minutes * target.share / shares for target in targets}


# The process that watches the workers


@dataclass
class _Worker:
    number: int
    process: subprocess.Popen[bytes]
    position: bytes = b""
    moved_at: float = 0.0


class _Supervisor:
    """Starts a worker for each core, and another one after each that died or hung."""

    def __init__(self, args: argparse.Namespace, targets: Sequence[Target]) -> None:
        self._args = args
        self._targets = targets
        self._lost: list[Result] = []
        args.out.mkdir(parents=True, exist_ok=True)
        for old in args.out.iterdir():
            old.unlink()

    def run(self) -> list[Result]:
        running = [self._start(number, 0) for number in range(self._args.processes)]
        while running:
            time.sleep(0.2)
            for worker in list(running):
                status = worker.process.poll()
                if status is None and self._is_moving(worker):
                    continue
                running.remove(worker)
                if status != 0 and (next_ := self._record_loss(worker, status)) < len(self._targets):
                    running.append(self._start(worker.number, next_))
        found = [
            self._read(line)
            for path in sorted(self._args.out.glob("worker-*.results"))
            for line in path.read_text("utf-8").splitlines()
        ]
        return found + self._lost

    def _start(self, number: int, first: int) -> _Worker:
        args = self._args
        words = [
            "--minutes",
            str(args.minutes),
            "--seed",
            args.seed,
            "--target",
            args.target,
            "--out",
            args.out,
        ]
        words += ["--worker", str(number), "--first", str(first)]
        process = subprocess.Popen(  # noqa: S603  (ourselves)
            [sys.executable, "-m", "tests.fuzz", *map(str, words)],
            env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        )
        return _Worker(number, process, moved_at=time.monotonic())

    def _is_moving(self, worker: _Worker) -> bool:
        position = self._position(worker)
        if position != worker.position:
            worker.position, worker.moved_at = position, time.monotonic()
        if time.monotonic() - worker.moved_at < NO_PROGRESS_SECONDS:
            return True
        worker.process.kill()
        worker.process.wait()
        return False

    def _position(self, worker: _Worker) -> bytes:
        path = Path(self._args.out, f"worker-{worker.number}.position")
        return path.read_bytes() if path.is_file() else b""

    def _record_loss(self, worker: _Worker, status: int | None) -> int:
        """Record the input at which a worker ended; return the number of the next target."""
        words = self._position(worker).split()
        index, number = (int(words[0]), int(words[1])) if len(words) == 2 else (0, 0)
        target = self._targets[index]
        seed = f"{self._args.seed}-{worker.number}:{target.name}:{number}"
        reason = "the process hung" if status is None else f"the process ended with status {status}"
        finding = Unhandled(target.name, seed, reason, "", make_input(target, target.seeds(), seed))
        self._lost.append(Result(target.name, inputs=number, unhandled=1, findings=[finding]))
        return index + 1

    @staticmethod
    def _read(line: str) -> Result:
        facts = json.loads(line)
        findings = [Unhandled(**{**one, "data": bytes.fromhex(one["data"])}) for one in facts.pop("findings")]
        return Result(**facts, findings=findings)


def _report(results: list[Result], args: argparse.Namespace) -> int:
    by_target: dict[str, list[Result]] = defaultdict(list)
    for result in results:
        by_target[result.target].append(result)
    print(f"{'target':<42} {'inputs':>9} {'unhandled':>10} {'grown MB':>9}")
    for name, ones in by_target.items():
        inputs, unhandled = sum(one.inputs for one in ones), sum(one.unhandled for one in ones)
        print(f"{name:<42} {inputs:>9,} {unhandled:>10,} {max(one.grown_megabytes for one in ones):>9.0f}")
    findings = [finding for result in results for finding in result.findings]
    for number, finding in enumerate(findings):
        _save(number, finding, args.out)
    inputs, unhandled = sum(one.inputs for one in results), sum(one.unhandled for one in results)
    print(f"{inputs:,} inputs, {unhandled:,} unhandled")
    if inputs < args.goal:
        print(f"fewer than {args.goal:,} inputs")
    return 1 if unhandled or inputs < args.goal else 0


def _save(number: int, finding: Unhandled, folder: Path) -> None:
    path = folder / f"finding-{number}.bin"
    path.write_bytes(finding.data)
    text = f"target: {finding.target}\nseed: {finding.seed}\nreason: {finding.reason}\n\n{finding.trace}"
    path.with_suffix(".txt").write_text(text, encoding="utf-8", errors="backslashreplace")
    print(f"  {finding.target}: {finding.reason}\n    seed {finding.seed!r}, input in {path}")


async def _replay(seed: str) -> int:
    """Try one input again, without any net: the traceback is what Python prints."""
    name = seed.split(":", 1)[1].rpartition(":")[0]
    target = next(target for target in TARGETS if target.name == name)
    data = make_input(target, target.seeds(), seed)
    print(f"{len(data)} bytes: {data[:2000]!r}")
    async with opened(target) as call:
        try:
            outcome = call(data)
            if outcome is not None:
                await outcome
        except target.answers as answer:
            print(f"answered: {answer!r}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

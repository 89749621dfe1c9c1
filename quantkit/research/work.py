"""The work of a sweep in portions, and who does it: this thread, threads, processes, a cluster.

    Job       bars, settings, strategy class, names: what a worker needs once
    portion   a few points; answered by a `Done`: their figures, errors and growth

Contract: a portion may be done anywhere and again; its answer is the same bits. The job is sent once to each worker: to
threads as it is; to a Dask cluster by `scatter`; to any other executor by a file that each process reads once, and,
where it cannot (another machine), inside the first portions that ask for it. A worker that dies costs a retry: a broken
process pool is replaced by one of its kind, and when pools go on breaking, runs are made one at a time until the one
that kills them is known and marked.
"""

from __future__ import annotations

import concurrent.futures as cf
import os
import pickle
import tempfile
import threading
import uuid
from collections import OrderedDict, deque
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from quantkit.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from quantkit.core.policy import Policy
    from quantkit.core.state import Floats
    from quantkit.research.space import Point
    from quantkit.research.trial import Runner
    from quantkit.strategy import Strategy

TRIES = 3  # of a portion whose worker died
LOST = frozenset(  # names of errors, of this and other packages, that say that a worker died
    {
        "BrokenExecutor", "KilledWorker", "CancelledError", "FutureCancelledError", "FutureLostError",
        "CommClosedError", "WorkerCrashedError", "ActorDiedError",
    }
)  # fmt: skip


class Done(NamedTuple):
    """What a portion left."""

    rows: Floats  # (R, F) figures, NaN where a run failed
    errors: list[str]  # empty text where it did not
    growth: Floats  # (R, T), or (0, T) where it is not kept


@dataclass(slots=True)
class Job:
    """Everything that all portions share; pickled once."""

    runner: Runner
    strategy: type[Strategy]
    names: tuple[str, ...]
    of_policy: frozenset[str]
    policy: Policy | None  # in place of the strategy's own
    growth: bool

    def do(self, points: list[Point]) -> Done:
        """Run these points."""
        of_policy = [name in self.of_policy for name in self.names]
        plain = not any(of_policy)
        made: dict[Any, tuple[Policy, Policy]] = {}

        def build(place: int) -> tuple[Strategy, Policy | None]:
            point = points[place]
            if plain:
                return self.strategy(**dict(zip(self.names, point, strict=True))), self.policy
            pairs = list(zip(self.names, point, of_policy, strict=True))
            strategy = self.strategy(**{name: value for name, value, policy in pairs if not policy})
            base = strategy.policy if self.policy is None else self.policy
            changed = tuple((name, value) for name, value, policy in pairs if policy)
            found = made.get(repr(changed))
            if found is None or (found[0] is not base and found[0] != base):
                found = made[repr(changed)] = base, replace(base, **dict(changed))
            return strategy, found[1]

        trials = self.runner.run_many(len(points), build, growth=self.growth)
        return Done(trials.rows, ["" if error is None else _told(error) for error in trials.errors], trials.growth)


def _told(error: BaseException) -> str:
    """One line: the kind of an error, what it says, and where it came from."""
    notes = "; ".join(getattr(error, "__notes__", ()))
    said = " ".join(f"{type(error).__name__}: {error}".split())
    return f"{said} ({notes})" if notes else said


# --- in a worker ------------------------------------------------------------------------------------------------------

_jobs: OrderedDict[str, Job] = OrderedDict()  # the last ones of this process, by token
_jobs_lock = threading.Lock()
_KEPT = 2


class _Missing(NamedTuple):
    """This worker has not got the job."""

    token: str


def _unpacked(token: str, packed: bytes) -> Job:
    job: Job = pickle.loads(packed)
    _jobs[token] = job
    while len(_jobs) > _KEPT:
        _jobs.popitem(last=False)
    return job


def do_portion(token: str, source: str | bytes, points: list[Point]) -> Done | _Missing:
    """Run points in a worker; `source` is a file with the job, or the job itself."""
    with _jobs_lock:
        job = _jobs.get(token)
        if job is None:
            if isinstance(source, str):
                try:
                    source = Path(source).read_bytes()
                except OSError:
                    return _Missing(token)
            job = _unpacked(token, source)
    return job.do(points)


def do_scattered(job: Job | bytes, token: str, points: list[Point]) -> Done:
    """Run points in a worker of a cluster that holds the packed job in its memory."""
    with _jobs_lock:
        found = _jobs.get(token)
        if found is None:
            found = job if isinstance(job, Job) else _unpacked(token, job)
    return found.do(points)


# --- in the process that sweeps ---------------------------------------------------------------------------------------


def packed(job: Job) -> bytes:
    """A job as bytes; a class that only this process knows goes by value, where cloudpickle is installed."""
    cls = job.strategy
    local = cls.__module__ == "__main__" or "<locals>" in cls.__qualname__
    if not local:
        try:
            return pickle.dumps(job, protocol=pickle.HIGHEST_PROTOCOL)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            problem: Exception = error
    else:
        problem = ConfigError(f"{cls.__name__} is defined in {cls.__module__}")
    try:
        import cloudpickle  # type: ignore[import-not-found,import-untyped,unused-ignore]
    except ImportError:
        raise ConfigError(
            f"sweep(executor=...): {cls.__name__} cannot be sent to another process ({problem}); put it in a file and "
            "load it with load_strategy, or install cloudpickle"
        ) from problem
    return bytes(cloudpickle.dumps(job))


class Crew:
    """An executor and how portions are sent to it."""

    def __init__(self, job: Job, executor: cf.Executor, folder: Path) -> None:
        self.job, self.executor = job, executor
        self.token = uuid.uuid4().hex
        self.workers = _workers(executor)
        self.mine: cf.Executor | None = None  # what stands in for a pool that broke
        self.near = isinstance(executor, cf.ThreadPoolExecutor)
        self._client: Any = getattr(executor, "_client", None)
        self._client = self._client if hasattr(self._client, "scatter") else None
        self._packed = b"" if self.near else packed(job)
        self._scattered: Any = None
        self._file = folder / "job.pickle"
        if not self.near and self._client is None:
            self._file.write_bytes(self._packed)

    def send(self, points: list[Point], *, whole: bool = False) -> cf.Future[Any]:
        """Hand over a portion. whole: with the job inside, for a worker that could not read it."""
        if self.near:
            return self.executor.submit(self.job.do, points)
        if self._client is not None:
            if self._scattered is None:
                self._scattered = self._client.scatter(self._packed, broadcast=True, hash=False)
            return self.executor.submit(do_scattered, self._scattered, self.token, points)
        return self.executor.submit(do_portion, self.token, self._packed if whole else str(self._file), points)

    def mend(self, error: BaseException) -> None:
        """After a worker died: a new pool for one that broke, the job sent again to a cluster."""
        self._scattered = None
        if not isinstance(error, BrokenProcessPool) or not isinstance(self.executor, cf.ProcessPoolExecutor):
            return
        old: Any = self.executor
        if self.mine is not None:
            self.mine.shutdown(wait=False, cancel_futures=True)
        new = cf.ProcessPoolExecutor(
            old._max_workers, mp_context=old._mp_context, initializer=old._initializer, initargs=old._initargs
        )
        self.executor = self.mine = new

    def close(self) -> None:
        """Let go of what is ours."""
        if self.mine is not None:
            self.mine.shutdown()
        with _jobs_lock:
            _jobs.pop(self.token, None)


def _workers(executor: cf.Executor) -> int:
    """How many portions an executor does at once, as far as it says."""
    client: Any = getattr(executor, "_client", None)
    if hasattr(client, "nthreads"):
        return max(1, int(sum(client.nthreads().values())))
    most = getattr(executor, "_max_workers", None)
    return most if isinstance(most, int) and most > 0 else os.cpu_count() or 1


def _is_lost(error: BaseException) -> bool:
    """Whether an error says that a worker died, and not that the work is wrong."""
    return isinstance(error, ConnectionError | EOFError) or any(kind.__name__ in LOST for kind in type(error).__mro__)


@contextmanager
def crew_of(job: Job, executor: cf.Executor | None, jobs: int | None) -> Iterator[Crew | None]:
    """The crew of an executor, of threads of our own, or None where this thread does it all."""
    if executor is not None and not callable(getattr(executor, "submit", None)):
        raise ConfigError(
            f"sweep(executor={executor!r}): expected a concurrent.futures.Executor, as ProcessPoolExecutor(4) or "
            "dask.distributed.Client(...).get_executor()"
        )
    count = (os.cpu_count() or 1) if jobs is None else jobs
    if executor is None and count <= 1:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="quantkit-sweep-") as folder:
        own = cf.ThreadPoolExecutor(count, thread_name_prefix="quantkit-sweep") if executor is None else None
        crew = Crew(job, executor if executor is not None else own, Path(folder))  # type: ignore[arg-type]
        try:
            yield crew
        finally:
            crew.close()
            if own is not None:
                own.shutdown(cancel_futures=True)


@dataclass(slots=True)
class _Portion:
    places: list[int]
    points: list[Point]
    tries: int = 0


def results(crew: Crew | None, job: Job, points: list[Point], size: int) -> Iterator[tuple[list[int], Done]]:
    """(places, what they left) of all points, in the order they are done; `size` points a portion."""
    waiting = deque(
        _Portion(list(range(start, min(start + size, len(points)))), points[start : start + size])
        for start in range(0, len(points), size)
    )
    if crew is None:
        for portion in waiting:
            yield portion.places, job.do(portion.points)
        return
    yield from _gathered(crew, waiting)


def _gathered(crew: Crew, waiting: deque[_Portion]) -> Iterator[tuple[list[int], Done]]:
    """Send, wait, and send again what was lost."""
    under_way: dict[cf.Future[Any], _Portion] = {}
    broken = 0
    try:
        while waiting or under_way:
            most = 1 if broken >= TRIES else 4 * crew.workers
            while waiting and len(under_way) < most:
                portion = waiting.popleft()
                if broken >= TRIES and len(portion.points) > 1:  # one at a time, so that blame is certain
                    waiting.extendleft(_singles(portion))
                    continue
                try:
                    under_way[crew.send(portion.points)] = portion
                except cf.BrokenExecutor as broke:
                    waiting.appendleft(portion)
                    crew.mend(broke)
            done, rest = cf.wait(under_way, return_when=cf.FIRST_COMPLETED)
            if any(isinstance(_error_of(future), BrokenProcessPool) for future in done):
                done |= cf.wait(rest).done  # all of a broken pool fails: mended once, not once for each
            lost: BaseException | None = None
            for future in done:
                portion = under_way.pop(future)
                error = _error_of(future)
                if error is None:
                    answer = future.result()
                    if isinstance(answer, _Missing):
                        under_way[crew.send(portion.points, whole=True)] = portion
                    else:
                        yield portion.places, answer
                elif not _is_lost(error):
                    raise error
                else:
                    lost = error
                    portion.tries += 1
                    if portion.tries > 2 * TRIES and len(portion.points) == 1:
                        yield portion.places, _given_up(crew.job, error)
                    else:
                        waiting.appendleft(portion)
            if lost is not None:
                broken += 1
                crew.mend(lost)
    finally:
        for future in under_way:
            future.cancel()


def _error_of(future: cf.Future[Any]) -> BaseException | None:
    try:
        return future.exception()
    except cf.CancelledError as error:
        return error


def _singles(portion: _Portion) -> Iterator[_Portion]:
    for place, point in zip(reversed(portion.places), reversed(portion.points), strict=True):
        yield _Portion([place], [point], portion.tries)


def _given_up(job: Job, error: BaseException) -> Done:
    """The answer for a run whose workers always died."""
    from quantkit.backtest.tally import NAMES

    kept = 1 if job.growth else 0
    said = f"the worker died each time this run was tried: {_told(error)}"
    return Done(np.full((1, len(NAMES)), np.nan), [said], np.full((kept, len(job.runner)), np.nan))

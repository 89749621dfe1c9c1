"""The one way quantkit compiles: Numba with the same settings everywhere.

Kernels are cached on disk, release the GIL, and divide as NumPy does (no ZeroDivisionError). They use only
`+ - * / sqrt floor` and comparisons, so a run with `NUMBA_DISABLE_JIT=1` gives the same bits as a compiled one.

`njit` is for kernels that may make arrays. `njit_bare` compiles without Numba's memory manager: such a kernel cannot
allocate (an attempt fails when it compiles), and its calls carry no reference counting, which for records of many
arrays is the difference between nanoseconds and microseconds a call.

    @njit
    def double(x: float) -> float:
        return 2.0 * x
"""

from __future__ import annotations

import sys
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast

import numba
import numpy as np
from numba.core import event
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompilerBase, Flags
from numba.core.compiler_machinery import PassManager
from numba.core.typed_passes import (
    AnnotateTypes,
    NativeLowering,
    NoPythonBackend,
    NopythonTypeInference,
    PreLowerStripPhis,
)
from numba.core.untyped_passes import (
    DeadBranchPrune,
    FixupArgs,
    GenericRewrites,
    IRProcessing,
    ReconstructSSA,
    TranslateByteCode,
)

from quantkit.compiling import Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

P = ParamSpec("P")
R = TypeVar("R")


def _spare_scipy() -> None:
    """Keep Numba from loading `scipy.linalg` with its first kernel, a third of the first call of a process, only to
    see that an installed SciPy has a BLAS. Code that needs one still loads it, when it compiles or runs."""
    if "scipy" not in sys.modules:  # Numba loads the package itself where it is installed
        return
    from numba.np import linalg

    asks = linalg.ensure_blas
    linalg.ensure_blas = lambda: None
    try:
        from numba.np import arraymath  # noqa: F401
    finally:
        linalg.ensure_blas = asks


_spare_scipy()
watch = Watch()
event.register("numba:compile", watch)
_stored: list[Any] = []

A = TypeVar("A", bound=tuple[Any, ...])


def frozen(arrays: A) -> A:
    """A NamedTuple of arrays as views that may not be written to, whatever they were.

    Arrays mapped from a file are read-only, others are not, and Numba compiles a kernel anew for each mixture of the
    two: this makes them one.
    """
    views = []
    for array in arrays:
        view = array.view(np.ndarray) if isinstance(array, np.memmap) else array.view()
        view.flags.writeable = False
        views.append(view)
    return cast("A", arrays._make(views))  # type: ignore[attr-defined]


class _NoCode:
    """Stands in for the engine that native code is handed to."""

    @staticmethod
    def set_env(_name: str, _env: object) -> None:
        """An inner step has no native code of its own whose environment could be set."""


class _Alone:
    """An inner step as what links it asks for it: its own code."""

    def __init__(self, library: Any) -> None:
        self._reload_init = library._reload_init
        self._get_module_for_linking = library.alone


def _in_order(libraries: Iterable[Any]) -> list[Any]:
    """These libraries and those of the steps they call, callers first: LLVM takes only what is asked for so far."""
    order: TopologicalSorter[Any] = TopologicalSorter(dict.fromkeys(libraries, ()))
    waiting = list(libraries)
    seen = set(waiting)
    while waiting:
        caller = waiting.pop()
        for callee in getattr(caller, "callees", ()):
            order.add(callee, caller)
            if callee not in seen:
                seen.add(callee)
                waiting.append(callee)
    return [_Alone(one) if isinstance(one, _InnerLibrary) else one for one in order.static_order()]


class _InnerLibrary(JITCodeLibrary):
    """A step that only other kernels call: LLVM gets to see it once, inside the kernel that Python calls.

    Numba optimises every function, with all it calls, and makes it native code at each level of calls; for a fold of a
    hundred steps that is most of the time to compile, and none of it is ever run.
    """

    codegen = _NoCode  # asked for by who would run the step
    callees: tuple[Any, ...] = ()
    whole: Any = None

    def finalize(self) -> None:
        """The steps it calls are not copied into it: the kernel it ends up in takes each of them once."""
        library = cast("Any", self)
        self.callees, library._linking_libraries = tuple(library._linking_libraries), []
        cast("Any", super()).finalize()

    def alone(self) -> Any:
        """Its own code."""
        return cast("Any", super())._get_module_for_linking()

    def _get_module_for_linking(self) -> Any:
        """Its code with all it calls, for a function that is compiled in Numba's own way."""
        if self.whole is None:
            self.whole = self.alone().clone()
            for callee in _in_order(self.callees):
                self.whole.link_in(callee._get_module_for_linking(), preserve=True)
        return self.whole

    def _optimize_functions(self, ll_module: Any) -> None:
        """Only what makes the code smaller: the kernel it ends up in is optimised in full."""
        codegen = cast("Any", self)._codegen
        ll_module.data_layout = codegen._data_layout
        for function in ll_module.functions:
            builder = codegen._pass_builder(opt=1, loop_vectorize=False, slp_vectorize=False)
            builder.getFunctionPassManager().run(function, builder)

    def _optimize_final_module(self) -> None:
        """Left to the kernel it ends up in."""

    def _finalize_final_module(self) -> None:
        cast("Any", self)._finalize_dynamic_globals()
        self._finalized = True

    def get_pointer_to_function(self, _name: str) -> int:
        return 0


class _EntryLibrary(JITCodeLibrary):
    """A kernel that Python calls, optimised once: Numba's first round serves its reference counts; here are none."""

    def finalize(self) -> None:
        """Its steps, and theirs, become part of it."""
        library = cast("Any", self)
        library._linking_libraries = _in_order(library._linking_libraries)
        cast("Any", super()).finalize()

    def _optimize_final_module(self) -> None:
        passes, builder = cast("Any", self)._codegen._module_pass_manager(opt=2)
        passes.run(self._final_module, builder)


class _Flags(Flags):
    """Numba's settings of a step, which for the operators in it are the same in all steps.

    Numba looks up by them what each `+`, `[]` or `max` becomes. To compare all settings there are is a tenth of the
    time to compile, and where two differ each operator is made once more.
    """

    def __hash__(self) -> int:
        return hash(_Flags)

    def __eq__(self, other: object) -> bool:
        return type(other) is _Flags


_PASSES: tuple[Any, ...] = (
    TranslateByteCode, FixupArgs, IRProcessing, DeadBranchPrune, GenericRewrites, ReconstructSSA,
    NopythonTypeInference, PreLowerStripPhis, AnnotateTypes, NativeLowering, NoPythonBackend,
)  # fmt: skip


class _InnerCompiler(CompilerBase):
    """The passes of Numba's own pipeline that a step needs, into an `_InnerLibrary`.

    The others look for what no step has (closures, comprehensions, expressions of whole arrays), or say where a
    variable's life ends, which matters only where references are counted.
    """

    library: type[JITCodeLibrary] = _InnerLibrary

    def __init__(
        self, typing: Any, target: Any, library: Any, args: Any, returned: Any, flags: Any, variables: Any
    ) -> None:
        plain = cast("Any", super())
        plain.__init__(typing, target, library, args, returned, cast("Any", _Flags)(flags), variables)

    def define_pipelines(self) -> Any:
        state = self.state
        if state.library is None:
            state.library = cast("Any", self.library)(state.targetctx.codegen(), state.func_id.func_qualname)
            state.library.enable_object_caching()
        passes: Any = PassManager("step")
        for one in _PASSES:
            passes.add_pass(one, one.name())
        passes.finalize()
        return [passes]


class _EntryCompiler(_InnerCompiler):
    """The same into an `_EntryLibrary`."""

    library = _EntryLibrary


_INNER = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True, "pipeline_class": _InnerCompiler}


@cache
def _sources() -> tuple[int, int]:
    """(newest change in ns, total size) of the files whose code the bare kernels are made of, and of how, this one."""
    home = Path(__file__).parent
    folders = ("core", "market", "data", "backtest")
    found = [path.stat() for folder in folders for path in (home / folder).glob("*.py")]
    found.append(Path(__file__).stat())
    return max(file.st_mtime_ns for file in found), sum(file.st_size for file in found)


def _bare(function: Callable[P, R], **options: object) -> Callable[P, R]:
    """Compile without the memory manager, cached under a stamp of all the files a kernel may call into.

    Numba looks at the file of the kernel itself only, and would go on using a step that has since changed in another.
    """
    settings: dict[str, Any] = {"nogil": True, "error_model": "numpy", "_nrt": False, **options}
    return cast("Callable[P, R]", stamped(numba.njit(**settings)(function)))


def stamped(compiled: Any, *more: object) -> Any:
    """A compiled function whose copy on disk counts only while our sources, and whatever `more` says, stay the same."""
    stored: Any = getattr(getattr(compiled, "_cache", None), "_cache_file", None)
    if hasattr(stored, "_source_stamp"):
        stored._source_stamp = (stored._source_stamp, _sources(), *more)
    return compiled


def njit(function: Callable[P, R]) -> Callable[P, R]:
    """Compile `function` on first call; typed as the plain function so that strict checking goes on through it."""
    compiled = numba.njit(cache=True, nogil=True, error_model="numpy")(function)
    _stored.append(compiled)
    return cast("Callable[P, R]", compiled)


def njit_bare(function: Callable[P, R]) -> Callable[P, R]:
    """Like `njit`, for small steps that allocate nothing and are called from compiled code, into which LLVM copies
    them.
    """
    return _bare(function, **_INNER, forceinline=True)


def njit_call(function: Callable[P, R]) -> Callable[P, R]:
    """Like `njit_bare`, for larger steps of some bars only: called, which keeps what compiles small."""
    return _bare(function, **_INNER, forceinline=False)


def njit_shared(function: Callable[P, R]) -> Callable[P, R]:
    """Like `njit`, for what strategies' compiled rules call and what reads the core's records."""
    compiled = stamped(numba.njit(cache=True, nogil=True, error_model="numpy")(function))
    _stored.append(compiled)
    return cast("Callable[P, R]", compiled)


def njit_entry(function: Callable[P, R]) -> Callable[P, R]:
    """Like `njit_bare`, for the few kernels that Python calls."""
    compiled = _bare(function, cache=True, no_cfunc_wrapper=True, pipeline_class=_EntryCompiler)
    _stored.append(compiled)
    watch.add(function)
    return compiled


def stored_kernels() -> list[Any]:
    """The kernels kept on disk, of all modules loaded so far, as Numba's dispatchers; none without compilation."""
    return [kernel for kernel in _stored if hasattr(kernel, "stats")]

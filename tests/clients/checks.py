"""What every Python script here prints: one line a check, which `run` counts."""

import contextlib
import traceback


def passed(name: str) -> None:
    print(f"PASS {name}", flush=True)


def failed(name: str, why: object) -> None:
    print(f"FAIL {name}: {' | '.join(str(why).splitlines())[:1500]}", flush=True)


def skipped(name: str, why: str) -> None:
    print(f"SKIPPED: {name}, because {why}", flush=True)


@contextlib.contextmanager
def check(name: str):
    """A failure inside is reported and does not keep the next check from running."""
    try:
        yield
    except Exception as error:  # A check may fail in any way there is; `run` must hear of each.
        causes = [f"{type(e).__name__}: {e}" for e in unrolled(error)]
        where = traceback.extract_tb(error.__traceback__)[-1]
        failed(name, f"{'; '.join(causes)} (line {where.lineno} of {where.name})")
    else:
        passed(name)


def unrolled(error: BaseException):
    """The failures inside a group of failures."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from unrolled(inner)
    else:
        yield error


def equal(actual: object, expected: object) -> None:
    assert actual == expected, f"{actual!r} is not {expected!r}"
